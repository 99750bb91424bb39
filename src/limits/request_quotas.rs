//! The quotas that a request is charged to after its authentication: that of its caller, and that of the model it runs.
//!
//! A request costs one when it arrives, whatever becomes of it, and the rest of its rows before they run.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    concurrency::Place,
    model_quotas::{ModelQuota, ModelQuotas},
    over_limit::{OverLimit, QuotaName},
    plans::{Plan, Plans},
    shared_store::{Charge, SharedStore},
};
use crate::{
    auth::Caller,
    config::{QuotaSettings, RateLimitSettings},
    model::ModelName,
};

/// One request.
const ONE: NonZeroU32 = NonZeroU32::MIN;

/// The quotas of callers and models.
#[derive(Debug)]
pub struct RequestQuotas {
    plans: Plans,
    models: ModelQuotas,
    /// The server that gateways share; `None` if quotas are kept in memory.
    store: Option<SharedStore>,
}

/// The rest of the quotas that a request was charged to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The caller's quota; `None` if it has none.
    pub caller: Option<Left>,
    /// The model's quota; `None` if it has none or was not charged.
    pub model: Option<Left>,
}

/// The units that are left of one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The place of the quota among those of its kind.
    pub place: usize,
    /// Units that are left.
    pub units: u32,
}

/// A quota of callers, as far as responses tell clients of it.
#[derive(Debug)]
pub struct CallerPolicy<'q> {
    /// The quota.
    pub quota: &'q QuotaSettings,
    /// Most requests in progress; `None` for any number.
    pub concurrent: Option<NonZeroU32>,
}

impl RequestQuotas {
    /// Creates unused quotas.
    #[must_use]
    pub fn new(settings: &RateLimitSettings, store: Option<SharedStore>) -> Self {
        let parts = parts(settings, store.as_ref());
        let models = ModelQuotas::new(settings, parts, &ModelQuotas::default());
        Self { plans: Plans::new(settings, parts), models, store }
    }

    /// Returns the quotas for changed settings; an unchanged one keeps its charges.
    #[must_use]
    pub fn with_settings(&self, settings: &RateLimitSettings, store: Option<SharedStore>) -> Self {
        let parts = parts(settings, store.as_ref());
        let models = ModelQuotas::new(settings, parts, &self.models);
        Self { plans: self.plans.with_settings(settings, parts), models, store }
    }

    /// Returns true if charges are made in a server, which takes time.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        self.store.is_some()
    }

    /// Charges a request to the quota of its caller, in memory.
    ///
    /// # Errors
    ///
    /// [`OverLimit::Exceeded`]; then nothing is charged.
    pub fn charge_now(&self, caller: &Caller) -> Result<Standing, OverLimit> {
        let Some((place, plan)) = self.plan_of(caller) else { return Ok(Standing::default()) };
        let units = plan.charge(caller, ONE)?;
        Ok(Standing { caller: Some(Left { place, units }), model: None })
    }

    /// Charges a request to the quota of its caller, where quotas are kept.
    ///
    /// # Errors
    ///
    /// [`OverLimit::Exceeded`]; then nothing is charged.
    pub async fn charge(&self, caller: &Caller) -> Result<Standing, OverLimit> {
        let Some((place, plan)) = self.plan_of(caller) else { return Ok(Standing::default()) };
        let units = self.charge_plan(plan, caller, ONE).await?;
        Ok(Standing { caller: Some(Left { place, units }), model: None })
    }

    /// Returns the caller's plan with its place; `None` if the caller has no quota.
    fn plan_of(&self, caller: &Caller) -> Option<(usize, &Plan)> {
        // Those that no token identifies would all share one.
        let place = caller.is_authenticated().then(|| self.plans.place(caller))?;
        Some((place, self.plans.get(place)?))
    }

    async fn charge_plan(&self, plan: &Plan, caller: &Caller, units: NonZeroU32) -> Result<u32, OverLimit> {
        if let Some(store) = &self.store {
            match store.charge(&plan.bucket(caller), plan.settings(), units.get()).await {
                Some(Charge::Taken(left)) => return Ok(left),
                Some(Charge::Refused(wait)) => return Err(plan.refusal(wait)),
                None => {}
            }
        }
        plan.charge(caller, units)
    }

    /// Charges the rows of a run in memory: to the quota of the caller of a request that was charged before, and to that
    /// of the model.
    ///
    /// # Errors
    ///
    /// [`OverLimit::NeverFits`] if a quota is smaller than the run, [`OverLimit::Exceeded`] if too little is left.
    pub fn charge_rows_now(
        &self,
        caller: &Caller,
        model: &ModelName,
        rows: usize,
        standing: &mut Standing,
    ) -> Result<(), OverLimit> {
        if let Some((plan, more, left)) = self.further_rows(rows, standing)? {
            left.units = plan.charge(caller, more).map_err(|refused| refused.after_units(1))?;
        }
        if let Some((place, quota, units)) = self.rows_of_model(model, rows)? {
            standing.model = Some(Left { place, units: quota.charge(model, units)? });
        }
        Ok(())
    }

    /// Charges the rows of a run as [`RequestQuotas::charge_rows_now`] does, where quotas are kept.
    ///
    /// # Errors
    ///
    /// As [`RequestQuotas::charge_rows_now`].
    pub async fn charge_rows(
        &self,
        caller: &Caller,
        model: &ModelName,
        rows: usize,
        standing: &mut Standing,
    ) -> Result<(), OverLimit> {
        let Some(store) = &self.store else { return self.charge_rows_now(caller, model, rows, standing) };
        if let Some((plan, more, left)) = self.further_rows(rows, standing)? {
            let charged = self.charge_plan(plan, caller, more).await;
            left.units = charged.map_err(|refused| refused.after_units(1))?;
        }
        if let Some((place, quota, units)) = self.rows_of_model(model, rows)? {
            let units = match store.charge(&quota.bucket(model), quota.settings(), units.get()).await {
                Some(Charge::Taken(left)) => left,
                Some(Charge::Refused(wait)) => return Err(quota.refusal(model, wait)),
                None => quota.charge(model, units)?,
            };
            standing.model = Some(Left { place, units });
        }
        Ok(())
    }

    /// Returns the rows that the arrival of a request has not paid for, with the plan that they are charged to. `None` if
    /// there are none. A request that comes again is charged in full.
    fn further_rows<'s>(
        &self,
        rows: usize,
        standing: &'s mut Standing,
    ) -> Result<Option<(&Plan, NonZeroU32, &'s mut Left)>, OverLimit> {
        let Some(left) = standing.caller.as_mut().filter(|_| rows > 1) else { return Ok(None) };
        let Some(plan) = self.plans.get(left.place) else { return Ok(None) };
        let more = fitting(rows - 1, rows, plan.settings(), || plan.quota_name())?;
        Ok(Some((plan, more, left)))
    }

    /// Returns the quota of a model with its place and the rows; `None` if the model has none.
    fn rows_of_model(&self, model: &ModelName, rows: usize) -> Result<Option<ChargedModel<'_>>, OverLimit> {
        if self.models.is_empty() {
            return Ok(None);
        }
        let found = self.models.find(model).and_then(|place| Some((place, self.models.get(place)?)));
        let Some((place, (name, quota))) = found else { return Ok(None) };
        let rows = rows.max(1);
        let units = fitting(rows, rows, quota.settings(), || QuotaName::Model(name.clone()))?;
        Ok(Some((place, quota, units)))
    }

    /// Gives a request of the caller a place among those in progress. `None` if any number may be.
    ///
    /// # Errors
    ///
    /// [`OverLimit::TooManyAtOnce`].
    pub fn enter(&self, caller: &Caller) -> Result<Option<Place>, OverLimit> {
        if caller.is_authenticated() { self.plans.enter(caller) } else { Ok(None) }
    }

    /// Returns the quotas of callers, by their places.
    pub fn caller_policies(&self) -> impl Iterator<Item = CallerPolicy<'_>> {
        self.plans.iter().map(|plan| CallerPolicy { quota: plan.settings(), concurrent: plan.concurrent() })
    }

    /// Returns the quota of a model, by its place.
    #[must_use]
    pub fn model_policy(&self, place: usize) -> Option<&QuotaSettings> {
        self.models.get(place).map(|(_, quota)| quota.settings())
    }

    /// Removes callers whose quota is full again.
    pub fn release_idle(&self) {
        self.plans.release_idle();
    }

    /// Returns the number of callers whose quota is not full.
    #[must_use]
    pub fn callers(&self) -> usize {
        self.plans.len()
    }
}

/// The quota of a model with its place, and the units to charge.
type ChargedModel<'q> = (usize, &'q Arc<ModelQuota>, NonZeroU32);

/// Returns the number of gateways that have a part of each quota in memory.
fn parts(settings: &RateLimitSettings, store: Option<&SharedStore>) -> u32 {
    store.map_or(1, |_| settings.replicas)
}

/// Returns a part of the rows as units, if all rows fit into the quota.
fn fitting(
    part: usize,
    rows: usize,
    quota: &QuotaSettings,
    name: impl FnOnce() -> QuotaName,
) -> Result<NonZeroU32, OverLimit> {
    let fits = u32::try_from(rows).is_ok_and(|rows| rows <= quota.requests);
    let units = u32::try_from(part).ok().filter(|_| fits).and_then(NonZeroU32::new);
    units.ok_or_else(|| OverLimit::never_fits(rows, quota, name()))
}

/// The charges of one request, which grow when its rows are known.
#[derive(Debug)]
pub struct RequestCharge {
    quotas: Arc<RequestQuotas>,
    caller: Arc<Caller>,
    standing: Mutex<Standing>,
    /// True once the request that was charged on arrival has run its rows.
    has_run: AtomicBool,
}

impl RequestCharge {
    /// Creates the charge of a request that was charged on arrival.
    #[must_use]
    pub fn new(quotas: Arc<RequestQuotas>, caller: Arc<Caller>, standing: Standing) -> Self {
        Self { quotas, caller, standing: Mutex::new(standing), has_run: AtomicBool::new(false) }
    }

    /// Charges the rows of a run of this model.
    ///
    /// # Errors
    ///
    /// As [`RequestQuotas::charge_rows`].
    pub async fn charge_rows(&self, model: &ModelName, rows: usize) -> Result<(), OverLimit> {
        // The arrival has paid for the first row of the first run.
        let rows = if self.has_run.swap(true, Ordering::Relaxed) { rows.saturating_add(1) } else { rows };
        let mut standing = self.standing();
        let charged = self.quotas.charge_rows(&self.caller, model, rows, &mut standing).await;
        *self.lock() = standing;
        charged
    }

    /// Returns what is left.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.lock()
    }

    /// Locks the standing, for one charge or a copy.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
