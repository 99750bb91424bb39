//! The caller, as their token describes them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use super::{Action, PlanName, Scopes, api_keys::ISSUER as API_KEYS, certificates::ISSUER as CERTIFICATES};
use crate::model::ModelName;

/// Random hashers for the caller's key: without their seeds no client can construct two callers with the same key.
static HASHERS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The issuer of the token (`iss`).
    pub issuer: String,
    /// The caller's name with the issuer (`sub`).
    pub subject: String,
    /// The actions that the token permits.
    pub scopes: Scopes,
    /// Expiry of the token; `None` for a caller without one.
    pub valid_until: Option<SystemTime>,
    /// The plan of the caller; `None` for the default one.
    plan: Option<PlanName>,
    /// The id of the token (`jti`); `None` if it has none, or the caller has no token.
    token_id: Option<Arc<str>>,
    /// The second since 1970 in which the token was issued (`iat`), if it says so.
    issued: Option<u64>,
    /// A number for issuer and subject, constant during the life of the process.
    key: u128,
}

impl Caller {
    /// Creates a caller with these scopes, valid until the given time.
    #[must_use]
    pub fn new(issuer: String, subject: String, scopes: Scopes, valid_until: Option<SystemTime>) -> Self {
        let [low, high] = HASHERS.each_ref().map(|hasher| hasher.hash_one((&issuer, &subject)));
        let key = u128::from(high) << u64::BITS | u128::from(low);
        Self { issuer, subject, scopes, valid_until, plan: None, token_id: None, issued: None, key }
    }

    /// Returns the caller with this plan.
    #[must_use]
    pub fn with_plan(self, plan: Option<PlanName>) -> Self {
        Self { plan, ..self }
    }

    /// Returns the caller with a token of this id (`jti`) and second of issue (`iat`).
    #[must_use]
    pub fn of_token(self, token_id: Option<Arc<str>>, issued: Option<u64>) -> Self {
        Self { token_id, issued, ..self }
    }

    /// Returns the id of the caller's token (`jti`); `None` if it has none, or the caller has no token.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// Returns the second since 1970 in which the caller's token was issued; `None` if it does not say so.
    #[must_use]
    pub fn issued(&self) -> Option<u64> {
        self.issued
    }

    /// Returns the name of the caller's plan; `None` for the default one.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanName> {
        self.plan.as_ref()
    }

    /// Creates the caller of every request, for use while authentication is off.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new(String::new(), "anonymous".to_owned(), Scopes::all(), None)
    }

    /// Returns the approximate memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        let plan = self.plan.as_ref().map_or(0, |plan| plan.as_str().len());
        let token_id = self.token_id.as_ref().map_or(0, |id| id.len());
        size_of::<Self>() + token_id + self.issuer.len() + self.subject.len() + self.scopes.bytes() + plan
    }

    /// Returns a number for issuer and subject, constant during the life of the process.
    #[must_use]
    pub fn key(&self) -> u128 {
        self.key
    }

    /// Returns a shorter number, for the queues of a model.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a part of it tells them apart as well")]
    pub fn number(&self) -> u64 {
        self.key as u64
    }

    /// Returns true if a token identifies the caller.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// Returns true if the token has expired at this time.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.valid_until.is_some_and(|end| now >= end)
    }

    /// Creates the caller of a request that a platform has authenticated: it may predict, and nothing else.
    #[must_use]
    pub fn of_platform() -> Self {
        Self { scopes: Scopes::of_claim("predict"), ..Self::anonymous() }
    }

    /// Returns the kind of the caller's credentials: `token`, `api_key` or `certificate`; `None` without any.
    #[must_use]
    pub fn credentials(&self) -> Option<&'static str> {
        match self.issuer.as_str() {
            "" => None,
            API_KEYS => Some("api_key"),
            CERTIFICATES => Some("certificate"),
            _ => Some("token"),
        }
    }

    /// Returns the caller's name in the deployment history.
    #[must_use]
    pub fn for_history(&self) -> String {
        let kind = if self.issuer == API_KEYS { "api-key" } else { "caller" };
        format!("{kind}:{}", self.subject)
    }

    /// Returns true if the caller may do this with every model.
    #[must_use]
    pub fn may_all(&self, action: Action) -> bool {
        self.scopes.permit_all(action)
    }

    /// Returns true if the caller may do this with this model; without a model, with at least one.
    #[must_use]
    pub fn may(&self, action: Action, model: Option<&ModelName>) -> bool {
        self.scopes.permit(action, model)
    }
}
