//! Quota of requests of each caller, whatever addresses they come from.

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

use super::{Exceeded, burst, replenish_interval};
use crate::{auth::Caller, config::QuotaSettings};

/// The quota of callers, each identified by issuer and subject.
#[derive(Debug)]
pub struct CallerQuota {
    limiter: RateLimiter<u128, DefaultKeyedStateStore<u128>, DefaultClock>,
    clock: DefaultClock,
    settings: QuotaSettings,
}

impl CallerQuota {
    /// Creates an unused quota.
    #[must_use]
    pub fn new(settings: &QuotaSettings) -> Self {
        let quota = Quota::with_period(replenish_interval(settings))
            .unwrap_or_else(|| Quota::per_second(burst(settings)))
            .allow_burst(burst(settings));
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            settings: settings.clone(),
        }
    }

    /// Charges one request.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] if the quota is used up; then nothing is charged.
    pub fn charge(&self, caller: &Caller) -> Result<(), Exceeded> {
        self.limiter.check_key(&caller.key()).map_err(|refused| Exceeded {
            wait: refused.wait_time_from(self.clock.now()),
            quota: self.settings.clone(),
        })
    }

    /// Removes callers whose quota is full again.
    pub fn release_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
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

    #[test]
    fn each_caller_has_their_own_quota() {
        let quota = CallerQuota::new(&QuotaSettings { requests: 2, period_seconds: 3600 });
        assert_eq!(quota.charge(&caller("a")), Ok(()));
        assert_eq!(quota.charge(&caller("a")), Ok(()));
        let wait = quota.charge(&caller("a")).unwrap_err().wait;
        assert!(wait <= Duration::from_mins(30) && wait > Duration::from_mins(29), "{wait:?}");
        assert_eq!(quota.charge(&caller("b")), Ok(()));
        quota.release_idle();
        assert!(quota.charge(&caller("a")).is_err(), "a used quota is not forgotten");
    }
}
