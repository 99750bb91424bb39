//! Who calls, as their token says.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
    time::SystemTime,
};

use super::{Action, Scopes};
use crate::model::ModelName;

/// What callers are told apart by in this process: nobody outside can find two that it takes for one.
static HASHERS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who vouches for them (`iss`).
    pub issuer: String,
    /// Who they are to the issuer (`sub`).
    pub subject: String,
    /// What they may do.
    pub scopes: Scopes,
    /// Until when their token is believed; nothing without one.
    pub valid_until: Option<SystemTime>,
    /// What stands for issuer and subject as long as the process lives.
    key: u128,
}

impl Caller {
    /// Whoever this is, with these rights, until then.
    #[must_use]
    pub fn new(issuer: String, subject: String, scopes: Scopes, valid_until: Option<SystemTime>) -> Self {
        let [low, high] = HASHERS.each_ref().map(|hasher| hasher.hash_one((&issuer, &subject)));
        let key = u128::from(high) << u64::BITS | u128::from(low);
        Self { issuer, subject, scopes, valid_until, key }
    }

    /// Everyone, when authentication is switched off.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new(String::new(), "anonymous".to_owned(), Scopes::all(), None)
    }

    /// About the bytes that it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.issuer.len() + self.subject.len() + self.scopes.bytes()
    }

    /// A number that stands for issuer and subject as long as the process lives.
    #[must_use]
    pub fn key(&self) -> u128 {
        self.key
    }

    /// A shorter one, for those who wait for the same model.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a part of it tells them apart as well")]
    pub fn number(&self) -> u64 {
        self.key as u64
    }

    /// Returns true if a token said who they are.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// Whether their token is not believed any more at this time.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.valid_until.is_some_and(|end| now >= end)
    }

    /// Whoever a platform in front lets through: they may ask models and nothing else.
    #[must_use]
    pub fn of_platform() -> Self {
        Self { scopes: Scopes::of_claim("predict"), ..Self::anonymous() }
    }

    /// How the history of deployments names them.
    #[must_use]
    pub fn for_history(&self) -> String {
        format!("caller:{}", self.subject)
    }

    /// Whether they may do this with this model; with no model: with at least one.
    #[must_use]
    pub fn may(&self, action: Action, model: Option<&ModelName>) -> bool {
        self.scopes.permit(action, model)
    }
}
