//! Rate limits: of requests and rows, by address, caller and model, and of failures.

mod address;
mod address_buckets;
mod buckets;
mod caller_quota;
mod capped_store;
mod concurrency;
mod log_ins;
mod model_quotas;
mod over_limit;
mod plans;
mod request_quotas;
mod shared_store;

pub use address::{AddressKey, Peer, client_address};
pub use address_buckets::AddressBuckets;
pub use concurrency::Place;
pub use log_ins::{LogInError, LogIns};
pub use over_limit::{Exceeded, OverLimit, QuotaName, retry_after_seconds};
pub use request_quotas::{CallerPolicy, Left, RequestCharge, RequestQuotas, Standing};
pub use shared_store::SharedStore;

use std::{num::NonZeroU32, time::Duration};

use crate::config::QuotaSettings;

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
}
