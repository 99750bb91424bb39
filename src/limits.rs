//! Rate limits: of requests, by address and by caller, and of failures.

mod address;
mod buckets;
mod caller_quota;
mod failed_tokens;
mod handshakes;
mod log_ins;

pub use address::{AddressKey, Peer, client_address};
pub use caller_quota::CallerQuota;
pub use failed_tokens::FailedTokens;
pub use handshakes::Handshakes;
pub use log_ins::{LogInError, LogIns};

use std::{num::NonZeroU32, time::Duration};

use crate::config::QuotaSettings;

/// The error of a quota that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// Time until the next request is accepted.
    pub wait: Duration,
    /// The quota.
    pub quota: QuotaSettings,
}

/// Returns the time after which a quota replenishes one request: a bucket of `requests` that fills within the period.
#[must_use]
pub fn replenish_interval(settings: &QuotaSettings) -> Duration {
    // The shortest interval is a nanosecond, which the largest quota (a billion per second) just fits.
    (Duration::from_secs(settings.period_seconds) / settings.requests.max(1)).max(Duration::from_nanos(1))
}

/// Returns the number of requests that may come at once.
fn burst(settings: &QuotaSettings) -> NonZeroU32 {
    NonZeroU32::new(settings.requests).unwrap_or(NonZeroU32::MIN)
}

/// Returns the `Retry-After` seconds for this wait: whole, rounded up, never 0, which would mean at once.
#[must_use]
pub fn retry_after_seconds(wait: Duration) -> u64 {
    let partial = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + partial).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_given_back_evenly_over_its_period() {
        let interval =
            |requests, period_seconds| replenish_interval(&QuotaSettings { requests, period_seconds });
        assert_eq!(interval(60, 60), Duration::from_secs(1));
        assert_eq!(interval(600, 60), Duration::from_millis(100));
        assert_eq!(interval(1, 86_400), Duration::from_hours(24));
        assert_eq!(interval(1_000_000_000, 1), Duration::from_nanos(1));
    }

    #[test]
    fn nobody_is_told_to_retry_at_once() {
        assert_eq!(retry_after_seconds(Duration::ZERO), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(10)), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(retry_after_seconds(Duration::from_secs(5)), 5);
    }
}
