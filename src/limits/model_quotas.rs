//! Quotas of models: for all callers of a model together.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::{
    caller_quota::library_quota,
    over_limit::{Exceeded, OverLimit, QuotaName},
    replenish_interval,
    shared_store::Bucket,
};
use crate::{
    config::{QuotaSettings, RateLimitSettings},
    model::ModelName,
};

/// The quotas of models that have one, sorted by name.
#[derive(Debug, Default)]
pub(super) struct ModelQuotas(Vec<(ModelName, Arc<ModelQuota>)>);

#[derive(Debug)]
pub(super) struct ModelQuota {
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
    settings: QuotaSettings,
    /// The quota in memory: all of it, or the share of this gateway.
    in_memory: QuotaSettings,
}

impl ModelQuotas {
    /// Creates the quotas of these settings. Unchanged ones of `old` keep their charges.
    pub(super) fn new(settings: &RateLimitSettings, parts: u32, old: &Self) -> Self {
        let by_model: &BTreeMap<ModelName, QuotaSettings> = &settings.per_model;
        let quota = |(name, settings): (&ModelName, &QuotaSettings)| {
            let same = old.find(name).and_then(|place| old.get(place)).map(|(_, quota)| quota);
            let same = same.filter(|quota| quota.is_of(settings, parts)).map(Arc::clone);
            (name.clone(), same.unwrap_or_else(|| Arc::new(ModelQuota::new(settings, parts))))
        };
        Self(by_model.iter().map(quota).collect())
    }

    /// Returns true if no model has a quota.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the place of a model's quota; `None` if it has none.
    pub(super) fn find(&self, model: &ModelName) -> Option<usize> {
        self.0.binary_search_by(|(name, _)| name.cmp(model)).ok()
    }

    /// Returns the quota at a place that [`ModelQuotas::find`] returned.
    pub(super) fn get(&self, place: usize) -> Option<(&ModelName, &Arc<ModelQuota>)> {
        self.0.get(place).map(|(name, quota)| (name, quota))
    }
}

impl ModelQuota {
    fn new(settings: &QuotaSettings, parts: u32) -> Self {
        let in_memory = settings.part(parts);
        let limiter = RateLimiter::direct(library_quota(&in_memory)).with_middleware();
        Self { limiter, settings: settings.clone(), in_memory }
    }

    fn is_of(&self, settings: &QuotaSettings, parts: u32) -> bool {
        self.settings == *settings && self.in_memory == settings.part(parts)
    }

    /// Returns the bucket of the model in a store that gateways share.
    pub(super) fn bucket(&self, model: &ModelName) -> Bucket {
        Bucket::new("model", &self.settings, &[model.as_str().as_bytes()])
    }

    /// Returns the refusal of a request that has to wait.
    pub(super) fn refusal(&self, model: &ModelName, wait: Duration) -> OverLimit {
        OverLimit::Exceeded {
            exceeded: Exceeded { wait, quota: self.settings.clone() },
            name: QuotaName::Model(model.clone()),
        }
    }

    /// Returns the settings of the quota.
    pub(super) fn settings(&self) -> &QuotaSettings {
        &self.settings
    }

    /// Charges a number of units in memory and returns those that are left.
    ///
    /// # Errors
    ///
    /// If too few are left; then nothing is charged.
    pub(super) fn charge(&self, model: &ModelName, units: NonZeroU32) -> Result<u32, OverLimit> {
        let wait = match self.limiter.check_n(units) {
            Ok(Ok(snapshot)) => return Ok(snapshot.remaining_burst_capacity()),
            Ok(Err(refused)) => refused.wait_time_from(self.limiter.clock().now()),
            // More than the bucket holds.
            Err(_) => replenish_interval(&self.in_memory).saturating_mul(units.get()),
        };
        Err(self.refusal(model, wait))
    }
}
