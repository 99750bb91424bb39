//! Responses to clients whose quota is used up.

use axum::http::{HeaderName, HeaderValue, StatusCode};

use super::problem::Problem;
use crate::{
    config::QuotaSettings,
    limits::{Exceeded, retry_after_seconds},
};

/// The texts of a quota in a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// The stable code for programs.
    pub(super) code: &'static str,
    /// The name in the fields of the response.
    pub(super) name: &'static str,
    /// The beginning of the sentence that states the quota: this may … in … s.
    pub(super) may: &'static str,
    /// The items that are counted.
    pub(super) counted: &'static str,
    /// The setting of the quota.
    pub(super) setting: &'static str,
}

pub(super) const PER_ADDRESS: Policy = Policy {
    code: "address_quota_exceeded",
    name: "address",
    may: "this address may send",
    counted: "requests",
    setting: "rate_limit.per_address",
};

pub(super) const PER_CALLER: Policy = Policy {
    code: "caller_quota_exceeded",
    name: "caller",
    may: "this caller may send",
    counted: "requests",
    setting: "rate_limit.per_caller",
};

pub(super) const FAILED_TOKENS: Policy = Policy {
    code: "failed_tokens_exceeded",
    name: "failed-tokens",
    may: "this address may send",
    counted: "requests without a valid token",
    setting: "rate_limit.failed_tokens",
};

pub(super) const FAILED_LOGINS: Policy = Policy {
    code: "failed_logins_exceeded",
    name: "failed-logins",
    may: "this address may fail to log in with",
    counted: "requests for a token",
    setting: "rate_limit.failed_logins",
};

/// Creates the response for a client whose quota is used up, with the fields of
/// draft-ietf-httpapi-ratelimit-headers-11.
pub(super) fn refusal(policy: Policy, exceeded: &Exceeded) -> Problem {
    let Policy { code, name, may, counted, setting } = policy;
    let QuotaSettings { requests, period_seconds } = exceeded.quota;
    let seconds = retry_after_seconds(exceeded.wait);
    let detail = format!(
        "{may} {requests} {counted} in {period_seconds} s; try again in {seconds} s. The gateway's {setting} sets this \
         quota: see {code} in docs/errors.md"
    );
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
        .with_retry_after(seconds)
        .with_violated_policy(name);
    for (field, value) in [
        ("ratelimit-policy", format!(r#""{name}";q={requests};w={period_seconds}"#)),
        ("ratelimit", format!(r#""{name}";r=0;t={seconds}"#)),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            problem = problem.with_header(HeaderName::from_static(field), value);
        }
    }
    problem
}
