//! Responses to clients whose quota is used up.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};

use super::{
    problem::Problem,
    quota_fields::{LIMIT, POLICY, concurrency_policy},
};
use crate::{
    config::QuotaSettings,
    limits::{Exceeded, OverLimit, QuotaName, retry_after_seconds},
};

/// Seconds after which a client may try again while it has too many requests in progress.
const RETRY_PLACE_SECONDS: u64 = 1;

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

const PER_CALLER: Policy = Policy {
    code: "caller_quota_exceeded",
    name: "caller",
    may: "this caller may send",
    counted: "requests, of which each row counts as one,",
    setting: "rate_limit.per_caller",
};

const PER_MODEL: Policy = Policy {
    code: "model_quota_exceeded",
    name: "model",
    may: "all callers together may send this model",
    counted: "requests, of which each row counts as one,",
    setting: "rate_limit.per_model",
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

/// Returns seconds for `Retry-After`.
fn seconds(wait: Duration) -> u64 {
    retry_after_seconds(wait, rand::random())
}

/// Creates the response for a client whose quota is used up, with the fields of
/// draft-ietf-httpapi-ratelimit-headers-11.
pub(super) fn refusal(policy: Policy, exceeded: &Exceeded) -> Problem {
    refusal_by(policy, policy.setting, exceeded)
}

/// Creates the response to a request that a quota of callers or of a model refuses.
pub(super) fn over_limit(refused: OverLimit) -> Problem {
    let detail = refused.to_string();
    match refused {
        OverLimit::Exceeded { exceeded, name } => {
            let policy = if matches!(name, QuotaName::Model(_)) { PER_MODEL } else { PER_CALLER };
            refusal_by(policy, &name.setting(), &exceeded)
        }
        OverLimit::NeverFits { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "rows_exceed_quota", detail)
        }
        OverLimit::TooManyAtOnce { most, .. } => {
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "concurrent_requests_exceeded", detail)
                .with_retry_after(RETRY_PLACE_SECONDS)
                .with_violated_policy("concurrent");
            let limit = format!(r#""concurrent";r=0;t={RETRY_PLACE_SECONDS}"#);
            with_fields(problem, &concurrency_policy(most.get()), &limit)
        }
    }
}

fn refusal_by(policy: Policy, setting: &str, exceeded: &Exceeded) -> Problem {
    let Policy { code, name, may, counted, .. } = policy;
    let QuotaSettings { requests, period_seconds } = exceeded.quota;
    let seconds = seconds(exceeded.wait);
    let detail = format!(
        "{may} {requests} {counted} in {period_seconds} s; try again in {seconds} s. The gateway's {setting} sets this \
         quota: see {code} in docs/errors.md"
    );
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
        .with_retry_after(seconds)
        .with_violated_policy(name);
    let policy = format!(r#""{name}";q={requests};w={period_seconds}"#);
    with_fields(problem, &policy, &format!(r#""{name}";r=0;t={seconds}"#))
}

fn with_fields(mut problem: Problem, policy: &str, limit: &str) -> Problem {
    for (field, value) in [(POLICY, policy), (LIMIT, limit)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            problem = problem.with_header(field, value);
        }
    }
    problem
}
