//! The caller, as their token describes them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use super::{
    Action, PlanName, Scopes, api_keys::ISSUER as API_KEYS, certificates::ISSUER as CERTIFICATES,
    last_use::LastUse,
};
use crate::model::ModelName;

/// Random hashers for the caller's key: without their seeds no client can construct two callers with the same key.
static HASHERS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// The kind of credentials that identify a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// No credentials: authentication is off, or that of a platform.
    Anonymous,
    /// A JWT.
    Token,
    /// An API key.
    ApiKey,
    /// The certificate of the connection.
    Certificate,
}

impl CallerKind {
    /// Returns the name in the log. `None` without credentials.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Anonymous => None,
            Self::Token => Some("token"),
            Self::ApiKey => Some("api_key"),
            Self::Certificate => Some("certificate"),
        }
    }

    /// Returns the kind of callers with this issuer: those without tokens have issuers that no token can name.
    fn of_issuer(issuer: &str) -> Self {
        match issuer {
            "" => Self::Anonymous,
            API_KEYS => Self::ApiKey,
            CERTIFICATES => Self::Certificate,
            _ => Self::Token,
        }
    }
}

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
    /// The kind of its credentials.
    pub kind: CallerKind,
    /// The last use of its API key; `None` for other kinds.
    last_use: Option<Arc<LastUse>>,
    /// A number for issuer and subject, constant during the life of the process.
    key: u128,
}

impl Caller {
    /// Creates a caller with these scopes, valid until the given time.
    #[must_use]
    pub fn new(issuer: String, subject: String, scopes: Scopes, valid_until: Option<SystemTime>) -> Self {
        let [low, high] = HASHERS.each_ref().map(|hasher| hasher.hash_one((&issuer, &subject)));
        let key = u128::from(high) << u64::BITS | u128::from(low);
        let kind = CallerKind::of_issuer(&issuer);
        Self {
            issuer,
            subject,
            scopes,
            valid_until,
            plan: None,
            token_id: None,
            issued: None,
            kind,
            last_use: None,
            key,
        }
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

    /// Returns the caller of a key whose last use is noted here.
    pub(super) fn with_last_use(self, last_use: Arc<LastUse>) -> Self {
        Self { last_use: Some(last_use), ..self }
    }

    /// Notes a use of its API key.
    pub(super) fn note_use(&self, now: SystemTime) {
        if let Some(last_use) = &self.last_use {
            last_use.note(now);
        }
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
        self.kind != CallerKind::Anonymous
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
        let kind = if self.kind == CallerKind::ApiKey { "api-key" } else { "caller" };
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
