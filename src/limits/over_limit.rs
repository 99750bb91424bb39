//! Refusals of requests that exceed a quota.

use std::{num::NonZeroU32, time::Duration};

use crate::{auth::PlanName, config::QuotaSettings, model::ModelName};

/// The error of a quota that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// Time until the request is accepted.
    pub wait: Duration,
    /// The quota.
    pub quota: QuotaSettings,
}

/// The setting that a quota of callers or of a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaName {
    /// `rate_limit.per_caller`.
    PerCaller,
    /// A plan.
    Plan(PlanName),
    /// The quota of a model.
    Model(ModelName),
}

impl QuotaName {
    /// Returns the setting, dotted.
    #[must_use]
    pub fn setting(&self) -> String {
        match self {
            Self::PerCaller => "rate_limit.per_caller".to_owned(),
            Self::Plan(name) => format!("rate_limit.plans.{name}"),
            Self::Model(name) => format!("rate_limit.per_model.{name}"),
        }
    }
}

/// The refusal of a request by a quota of callers or of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// Too little is left.
    #[error("the quota is used up")]
    Exceeded {
        /// The quota, with the time until the request is accepted.
        exceeded: Exceeded,
        /// The setting of the quota.
        name: QuotaName,
    },
    /// The request has more rows than the quota allows at any time.
    #[error(
        "the request has {rows} rows, and {} allows at most {} at once: send fewer in a request",
        .name.setting(),
        .quota.requests
    )]
    NeverFits {
        /// Rows of the request.
        rows: usize,
        /// The quota.
        quota: QuotaSettings,
        /// The setting of the quota.
        name: QuotaName,
    },
    /// The caller has too many requests in progress.
    #[error(
        "this caller may have {most} requests in progress: wait until one of them has ended. The gateway's {}.concurrent \
         sets this limit",
        .name.setting()
    )]
    TooManyAtOnce {
        /// Most requests in progress.
        most: NonZeroU32,
        /// The setting of the plan.
        name: QuotaName,
    },
}

/// Longest time that is added to a wait at random.
const MAX_JITTER_SECONDS: u64 = 10;

/// Returns the `Retry-After` seconds for this wait: whole, rounded up, never 0, which would mean at once.
///
/// Up to a tenth more, by the random number, keeps clients that were refused together from coming back together.
#[must_use]
pub fn retry_after_seconds(wait: Duration, random: u64) -> u64 {
    let partial = u64::from(wait.subsec_nanos() > 0);
    let seconds = wait.as_secs().saturating_add(partial).max(1);
    let most = (seconds / 10).min(MAX_JITTER_SECONDS);
    seconds.saturating_add(random % (most + 1))
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    #[test]
    fn a_short_wait_is_rounded_up_to_whole_seconds() {
        assert_eq!(retry_after_seconds(Duration::ZERO, 7), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(10), 7), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(1001), 7), 2);
        assert_eq!(retry_after_seconds(Duration::from_secs(5), 7), 5);
    }

    proptest! {
        #[test]
        fn a_long_wait_is_prolonged_by_a_tenth_at_most(milliseconds: u32, random: u64) {
            let wait = Duration::from_millis(milliseconds.into());
            let told = Duration::from_secs(retry_after_seconds(wait, random));
            let most = wait + Duration::from_secs(1) + (wait / 10 + Duration::from_secs(1)).min(Duration::from_secs(10));
            prop_assert!(told >= wait && told <= most, "{wait:?}: {told:?}");
        }
    }
}
