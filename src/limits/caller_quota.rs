//! Quota of each caller, whatever addresses they come from.

use std::num::NonZeroU32;

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};

use super::{
    burst,
    capped_store::{BucketCount, CallerKey, CappedStore},
    over_limit::Exceeded,
    replenish_interval,
};
use crate::{auth::Caller, config::QuotaSettings};

/// One quota of callers, each identified by issuer and subject.
#[derive(Debug)]
pub(super) struct CallerQuota {
    limiter: RateLimiter<CallerKey, CappedStore, DefaultClock, StateInformationMiddleware>,
    clock: DefaultClock,
    settings: QuotaSettings,
}

/// Returns a quota in the form of the library.
pub(super) fn library_quota(settings: &QuotaSettings) -> Quota {
    let quota = Quota::with_period(replenish_interval(settings));
    quota.unwrap_or_else(|| Quota::per_second(burst(settings))).allow_burst(burst(settings))
}

impl CallerQuota {
    /// Creates an unused quota.
    pub(super) fn new(settings: &QuotaSettings, count: BucketCount) -> Self {
        let store = CappedStore::new(count);
        let limiter = RateLimiter::new(library_quota(settings), store, DefaultClock::default());
        Self { limiter, clock: DefaultClock::default(), settings: settings.clone() }
    }

    /// Returns the settings of the quota.
    pub(super) fn settings(&self) -> &QuotaSettings {
        &self.settings
    }

    /// Charges a number of units and returns those that are left.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] if too few are left; then nothing is charged.
    pub(super) fn charge(&self, caller: &Caller, units: NonZeroU32) -> Result<u32, Exceeded> {
        let refused = match self.limiter.check_key_n(&caller.into(), units) {
            Ok(Ok(snapshot)) => return Ok(snapshot.remaining_burst_capacity()),
            Ok(Err(refused)) => refused.wait_time_from(self.clock.now()),
            // More than the bucket holds.
            Err(_) => replenish_interval(&self.settings).saturating_mul(units.get()),
        };
        Err(Exceeded { wait: refused, quota: self.settings.clone() })
    }

    /// Removes callers whose quota is full again.
    pub(super) fn release_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Returns the number of callers whose quota is not full.
    pub(super) fn len(&self) -> usize {
        self.limiter.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Scopes;

    fn caller(subject: &str) -> Caller {
        Caller::new("issuer".to_owned(), subject.to_owned(), Scopes::default(), None)
    }

    fn units(units: u32) -> NonZeroU32 {
        NonZeroU32::new(units).unwrap()
    }

    #[test]
    fn each_caller_has_their_own_quota() {
        let settings = QuotaSettings { requests: 2, period_seconds: 3600 };
        let quota = CallerQuota::new(&settings, BucketCount::default());
        assert_eq!(quota.charge(&caller("a"), units(1)), Ok(1));
        assert_eq!(quota.charge(&caller("a"), units(1)), Ok(0));
        let wait = quota.charge(&caller("a"), units(1)).unwrap_err().wait;
        assert!(wait <= Duration::from_mins(30) && wait > Duration::from_mins(29), "{wait:?}");
        assert_eq!(quota.charge(&caller("b"), units(1)), Ok(1));
        quota.release_idle();
        assert!(quota.charge(&caller("a"), units(1)).is_err(), "a used quota is not forgotten");
    }

    #[test]
    fn several_units_are_charged_together_or_not_at_all() {
        let settings = QuotaSettings { requests: 10, period_seconds: 3600 };
        let quota = CallerQuota::new(&settings, BucketCount::default());
        assert_eq!(quota.charge(&caller("a"), units(7)), Ok(3));
        let wait = quota.charge(&caller("a"), units(4)).unwrap_err().wait;
        assert!(wait <= Duration::from_mins(6) && wait > Duration::from_mins(5), "{wait:?}");
        assert_eq!(quota.charge(&caller("a"), units(3)), Ok(0), "the refused ones were not charged");
        assert!(quota.charge(&caller("a"), units(11)).is_err());
    }
}
