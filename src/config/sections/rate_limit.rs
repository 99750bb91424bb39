//! Section `rate_limit`: quotas of addresses and callers, and the plans of callers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::{config::QuotaStore, model::ModelName};

/// Rate limits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct RateLimitSettings {
    /// True if requests are limited at all.
    pub enabled: bool,
    /// The place where quotas are kept: `memory`, or a Redis server as `redis://HOST:PORT` or `rediss://HOST:PORT`.
    pub store: QuotaStore,
    /// Time limit of a charge in the Redis server; beyond it, quotas are counted in memory until the server answers.
    #[validate(range(min = 1, max = 1000, message = "must be from 1 to 1000"))]
    pub store_timeout_ms: u64,
    /// Gateways that share the Redis server. While it does not answer, each has this part of every quota.
    #[validate(range(min = 1, max = 1000, message = "must be from 1 to 1000"))]
    pub replicas: u32,
    /// Quota of each client address (IPv6: each /64), before authentication.
    #[validate(nested)]
    pub per_address: QuotaSettings,
    /// Quota of TLS handshakes of each client address, before each of them.
    #[validate(nested)]
    pub handshakes: QuotaSettings,
    /// Quota of each caller without a plan, after authentication, in rows.
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
    /// Quotas of models, for all callers of each together, by the model's name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, QuotaSettings>")]
    pub per_model: BTreeMap<ModelName, QuotaSettings>,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            store: QuotaStore::default(),
            store_timeout_ms: 50,
            replicas: 2,
            per_address: QuotaSettings { requests: 60, period_seconds: 60 },
            handshakes: QuotaSettings { requests: 600, period_seconds: 60 },
            per_caller: QuotaSettings { requests: 100_000, period_seconds: 60 },
            failed_tokens: QuotaSettings { requests: 30, period_seconds: 60 },
            failed_logins: QuotaSettings { requests: 10, period_seconds: 300 },
            default_plan: None,
            plans: BTreeMap::new(),
            per_model: BTreeMap::new(),
        }
    }
}

/// A quota: `requests` in a burst, replenished evenly over `period_seconds`. After authentication, each row counts as a
/// request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct QuotaSettings {
    /// Requests per period.
    #[validate(range(min = 1, max = 1_000_000_000, message = "must be from 1 to 1000000000"))]
    pub requests: u32,
    /// Length of the period.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub period_seconds: u64,
}

impl QuotaSettings {
    /// Returns one of `parts` equal parts of the quota, of at least one request.
    #[must_use]
    pub fn part(&self, parts: u32) -> Self {
        Self { requests: (self.requests / parts.max(1)).max(1), period_seconds: self.period_seconds }
    }
}

/// A plan: the quota of each caller that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct PlanSettings {
    /// Requests of each caller per period; each row counts as one.
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
