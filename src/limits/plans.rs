//! Quotas of callers by their plans.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    caller_quota::CallerQuota,
    capped_store::BucketCount,
    concurrency::{Concurrency, Place},
    over_limit::{Exceeded, OverLimit, QuotaName},
    replenish_interval,
    shared_store::Bucket,
};
use crate::{
    auth::{Caller, PlanName},
    config::{PlanSettings, QuotaSettings, RateLimitSettings},
};

/// The quotas of callers: that of callers without a plan first, then one for each plan.
#[derive(Debug)]
pub(super) struct Plans {
    all: Vec<Plan>,
    /// The place of the quota for callers without a plan of their own.
    default: usize,
    running: Arc<Concurrency>,
    count: BucketCount,
}

/// One plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The name; `None` for `rate_limit.per_caller`.
    name: Option<PlanName>,
    settings: QuotaSettings,
    /// The quota in memory: all of it, or the share of this gateway.
    quota: Arc<CallerQuota>,
    /// Most requests of a caller in progress; `None` for any number.
    concurrent: Option<NonZeroU32>,
}

impl Plan {
    /// Returns the quota of each caller with the plan.
    pub(super) fn settings(&self) -> &QuotaSettings {
        &self.settings
    }

    /// Returns the bucket of a caller in a store that gateways share.
    pub(super) fn bucket(&self, caller: &Caller) -> Bucket {
        let plan = self.name.as_ref().map(PlanName::as_str).unwrap_or_default();
        let client = [plan, &caller.issuer, &caller.subject].map(str::as_bytes);
        Bucket::new("caller", &self.settings, &client)
    }

    /// Returns the most requests of a caller in progress; `None` for any number.
    pub(super) fn concurrent(&self) -> Option<NonZeroU32> {
        self.concurrent
    }

    /// Returns the setting that the quota comes from.
    pub(super) fn quota_name(&self) -> QuotaName {
        self.name.clone().map_or(QuotaName::PerCaller, QuotaName::Plan)
    }

    /// Charges a number of units in memory and returns those that are left.
    ///
    /// # Errors
    ///
    /// If too few are left; then nothing is charged.
    pub(super) fn charge(&self, caller: &Caller, units: NonZeroU32) -> Result<u32, OverLimit> {
        self.quota.charge(caller, units).map_err(|exceeded| self.refusal(exceeded.wait))
    }

    /// Returns the refusal of a caller that has to wait.
    pub(super) fn refusal(&self, wait: Duration) -> OverLimit {
        OverLimit::Exceeded {
            exceeded: Exceeded { wait, quota: self.settings.clone() },
            name: self.quota_name(),
        }
    }
}

impl Plans {
    /// Creates unused quotas, of which this gateway has one of `parts` equal parts in memory.
    pub(super) fn new(settings: &RateLimitSettings, parts: u32) -> Self {
        Self::with(settings, parts, &[], &BucketCount::default(), Arc::default())
    }

    /// Returns the quotas for changed settings. An unchanged one keeps its charges, and requests in progress still
    /// count.
    pub(super) fn with_settings(&self, settings: &RateLimitSettings, parts: u32) -> Self {
        Self::with(settings, parts, &self.all, &self.count, Arc::clone(&self.running))
    }

    fn with(
        settings: &RateLimitSettings,
        parts: u32,
        old: &[Plan],
        count: &BucketCount,
        running: Arc<Concurrency>,
    ) -> Self {
        let plan = |name: Option<PlanName>, settings: QuotaSettings, concurrent: u32| {
            let in_memory = settings.part(parts);
            let same = old.iter().find(|plan| plan.name == name && *plan.quota.settings() == in_memory);
            let quota = match same {
                Some(plan) => Arc::clone(&plan.quota),
                None => Arc::new(CallerQuota::new(&in_memory, count.clone())),
            };
            Plan { name, settings, quota, concurrent: NonZeroU32::new(concurrent) }
        };
        let without_plan = plan(None, settings.per_caller.clone(), 0);
        let by_name: &BTreeMap<String, PlanSettings> = &settings.plans;
        let named = by_name.iter().map(|(name, settings)| {
            plan(Some(PlanName::from(name.as_str())), settings.quota(), settings.concurrent)
        });
        let plans: Vec<Plan> = std::iter::once(without_plan).chain(named).collect();
        let default = settings.default_plan.as_deref().and_then(|name| place_of(&plans, name));
        Self { all: plans, default: default.unwrap_or(0), running, count: count.clone() }
    }

    /// Returns the place of the caller's plan. A plan that does not exist is the default one.
    pub(super) fn place(&self, caller: &Caller) -> usize {
        caller.plan().and_then(|name| place_of(&self.all, name.as_str())).unwrap_or(self.default)
    }

    /// Returns the plan at a place that [`Plans::place`] returned.
    pub(super) fn get(&self, place: usize) -> Option<&Plan> {
        self.all.get(place)
    }

    /// Returns all plans, by their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.all.iter()
    }

    /// Gives a request of the caller a place among those in progress. `None` if any number may be.
    ///
    /// # Errors
    ///
    /// [`OverLimit::TooManyAtOnce`].
    pub(super) fn enter(&self, caller: &Caller) -> Result<Option<Place>, OverLimit> {
        let plan = self.get(self.place(caller));
        let Some((plan, most)) = plan.and_then(|plan| Some((plan, plan.concurrent?))) else {
            return Ok(None);
        };
        let refused = || OverLimit::TooManyAtOnce { most, name: plan.quota_name() };
        self.running.enter(caller, most.get()).map(Some).ok_or_else(refused)
    }

    /// Removes callers whose quota is full again.
    pub(super) fn release_idle(&self) {
        self.all.iter().for_each(|plan| plan.quota.release_idle());
    }

    /// Returns the number of callers whose quota is not full.
    pub(super) fn len(&self) -> usize {
        self.all.iter().map(|plan| plan.quota.len()).sum()
    }
}

fn place_of(plans: &[Plan], name: &str) -> Option<usize> {
    plans.iter().position(|plan| plan.name.as_ref().is_some_and(|known| known.as_str() == name))
}

impl OverLimit {
    /// Returns the refusal of a request whose rows exceed the quota at any time.
    pub(super) fn never_fits(rows: usize, quota: &QuotaSettings, name: QuotaName) -> Self {
        Self::NeverFits { rows, quota: quota.clone(), name }
    }

    /// Adds to the wait the time in which the quota refills a number of units.
    pub(super) fn after_units(self, units: u32) -> Self {
        match self {
            Self::Exceeded { exceeded: Exceeded { wait, quota }, name } => {
                let more = replenish_interval(&quota).saturating_mul(units);
                Self::Exceeded { exceeded: Exceeded { wait: wait.saturating_add(more), quota }, name }
            }
            other => other,
        }
    }
}
