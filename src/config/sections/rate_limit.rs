//! Section `rate_limit`: quotas of addresses and callers, and the plans of callers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// Rate limits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct RateLimitSettings {
    /// True if requests are limited at all.
    pub enabled: bool,
    /// Quota of each client address (IPv6: each /64), before authentication.
    #[validate(nested)]
    pub per_address: QuotaSettings,
    /// Quota of TLS handshakes of each client address, before each of them.
    #[validate(nested)]
    pub handshakes: QuotaSettings,
    /// Quota of each caller without a plan, after authentication.
    #[validate(nested)]
    pub per_caller: QuotaSettings,
    /// Quota of requests without a valid token, of each client address.
    #[validate(nested)]
    pub failed_tokens: QuotaSettings,
    /// Quota of token requests with an unknown client or a wrong secret, of each client address.
    #[validate(nested)]
    pub failed_logins: QuotaSettings,
    /// The plan of callers that have none of their own; unset: `per_caller` is their quota.
    pub default_plan: Option<String>,
    /// Plans of callers, by name.
    #[serde(default)]
    pub plans: BTreeMap<String, PlanSettings>,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            per_address: QuotaSettings { requests: 60, period_seconds: 60 },
            handshakes: QuotaSettings { requests: 600, period_seconds: 60 },
            per_caller: QuotaSettings { requests: 600, period_seconds: 60 },
            failed_tokens: QuotaSettings { requests: 30, period_seconds: 60 },
            failed_logins: QuotaSettings { requests: 10, period_seconds: 300 },
            default_plan: None,
            plans: BTreeMap::new(),
        }
    }
}

/// A quota: `requests` in a burst, replenished evenly over `period_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct QuotaSettings {
    /// Requests per period.
    #[validate(range(min = 1, max = 1_000_000_000, message = "must be from 1 to 1000000000"))]
    pub requests: u32,
    /// Length of the period.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub period_seconds: u64,
}

/// A plan: the quota of each caller that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct PlanSettings {
    /// Requests of each caller per period.
    #[validate(range(min = 1, max = 1_000_000_000, message = "must be from 1 to 1000000000"))]
    pub requests: u32,
    /// Length of the period.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub period_seconds: u64,
    /// Requests of each caller in progress at a time; 0: any number.
    #[validate(range(max = 1_000_000, message = "must be from 0 to 1000000"))]
    pub concurrent: u32,
}

impl PlanSettings {
    /// Returns the quota of the plan.
    #[must_use]
    pub fn quota(&self) -> QuotaSettings {
        QuotaSettings { requests: self.requests, period_seconds: self.period_seconds }
    }
}

impl Default for PlanSettings {
    /// Without `requests`, which every plan has to set.
    fn default() -> Self {
        Self { requests: 0, period_seconds: 60, concurrent: 0 }
    }
}
