//! Keys that an issuer publishes as a JWK set (RFC 7517 section 5).

use jsonwebtoken::{
    DecodingKey, DecodingKeyKind, Validation, decode, errors::Error, jwk::AlgorithmParameters,
};
use serde::Deserialize;
use serde_json::Value;

use super::claim_set::ClaimSet;
use crate::{
    auth::{
        algorithm::{key_kind, library_algorithm},
        header::{TokenHeader, is_key_id},
        key_trust::KeyTrust,
        keys::public_jwk,
    },
    config::Algorithm,
};

/// Most keys of a set that are read. Issuers publish two to ten; a token without a key id is tried with each.
const MAX_KEYS: usize = 32;

/// Most keys that an error lists.
const MAX_LISTED: usize = 5;

/// Longest part of an issuer's text in an error.
const MAX_SHOWN: usize = 200;

/// The keys of a set that can be used.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    keys: Vec<PublishedKey>,
    /// Keys that are left out, each with the reason.
    pub(super) left_out: Vec<LeftOut>,
}

/// A key that is left out of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// The reason, with the key it is about.
    pub(super) message: String,
    /// True if such a key must not be published at all.
    pub(super) is_grave: bool,
}

/// A text that is not a JWK set, or has no key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    /// Not JSON of the form of a JWK set.
    #[error("is not a JWK set, which is JSON such as {{\"keys\": […]}}: {0}")]
    Form(String),
    /// Every key is left out.
    #[error("has no key that can be used{}", listed(.0))]
    Empty(Vec<String>),
}

/// Returns the beginning of a text of the issuer, without what would disturb a log.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_SHOWN).collect()
}

fn listed(messages: &[String]) -> String {
    messages.iter().take(MAX_LISTED).flat_map(|message| ["; ", message.as_str()]).collect()
}

/// A key, bound to one algorithm.
#[derive(Debug)]
pub(super) struct PublishedKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
    trust: KeyTrust,
}

#[derive(Deserialize)]
struct KeySetForm {
    keys: Vec<Value>,
}

impl PublishedKeys {
    /// Reads a JWK set. A key that cannot be used is left out, so that it does not take the others with it.
    pub(super) fn parse(json: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        let form: KeySetForm =
            serde_json::from_slice(json).map_err(|error| KeySetError::Form(shown(&error.to_string())))?;
        let (mut keys, mut left_out) = (Vec::<PublishedKey>::new(), Vec::new());
        if form.keys.len() > MAX_KEYS {
            let message = format!("the set has more than {MAX_KEYS} keys, and those after them are not read");
            left_out.push(LeftOut { message, is_grave: false });
        }
        for (index, jwk) in form.keys.into_iter().take(MAX_KEYS).enumerate() {
            let id = jwk.get("kid").and_then(Value::as_str).filter(|kid| is_key_id(kid));
            let name = id.map_or_else(|| format!("key {index}"), |kid| format!("key `{kid}`"));
            match PublishedKey::read(jwk, allowed) {
                Ok(key) => keys.push(key),
                Err((reason, is_grave)) => {
                    left_out.push(LeftOut { message: format!("{name} {reason}"), is_grave });
                }
            }
        }
        left_out.extend(without_duplicates(&mut keys));
        if keys.is_empty() {
            return Err(KeySetError::Empty(left_out.into_iter().map(|left| left.message).collect()));
        }
        Ok(Self { keys, left_out })
    }

    /// Returns the keys that a token with this header may be verified with: by its id, or without one by its algorithm.
    pub(super) fn named_by(&self, header: &TokenHeader) -> impl Iterator<Item = &PublishedKey> {
        self.keys.iter().filter(|key| {
            let id_fits = header.kid.is_none() || header.kid == key.kid;
            id_fits && header.algorithm == key.algorithm.name()
        })
    }

    /// Takes the place of older keys: trust in those that are still there goes on, and ends in the others.
    pub(super) fn replace(&mut self, old: &Self) {
        for before in &old.keys {
            match self.keys.iter_mut().find(|key| key.is_same(before)) {
                Some(key) => key.trust = before.trust.clone(),
                None => before.trust.end(),
            }
        }
    }

    /// Returns the ids of the keys, for the log.
    pub(super) fn ids(&self) -> String {
        let ids = self.keys.iter().map(|key| key.kid.as_deref().unwrap_or("(without id)"));
        ids.collect::<Vec<_>>().join(", ")
    }
}

/// Removes keys that share an id: a token could mean either.
fn without_duplicates(keys: &mut Vec<PublishedKey>) -> Vec<LeftOut> {
    let ids: Vec<Option<String>> = keys.iter().map(|key| key.kid.clone()).collect();
    let is_single = |key: &PublishedKey| ids.iter().filter(|id| **id == key.kid).count() == 1;
    let mut left_out: Vec<LeftOut> = Vec::new();
    for key in keys.iter().filter(|key| !is_single(key)) {
        let name = key.kid.as_ref().map_or_else(|| "without an id".to_owned(), |kid| format!("`{kid}`"));
        let message = format!("key {name} is there more than once, so none of them is used");
        if left_out.iter().all(|left| left.message != message) {
            left_out.push(LeftOut { message, is_grave: true });
        }
    }
    keys.retain(is_single);
    left_out
}

impl PublishedKey {
    /// Reads a key. The error is the reason to leave it out, with true if it must not be published at all.
    fn read(jwk: Value, allowed: &[Algorithm]) -> Result<Self, (String, bool)> {
        let harmless = |reason: String| (reason, false);
        if jwk.get("kty").is_some_and(|kty| kty == "oct") || jwk.get("k").is_some() {
            return Err(("is a shared secret, which must not be published".to_owned(), true));
        }
        if jwk.get("d").is_some() {
            return Err(("is a private key, which must not be published".to_owned(), true));
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if is_key_id(kid) => Some(kid.clone()),
            Some(_) => {
                return Err(harmless(
                    "has a `kid` that is not 1 to 128 bytes that can be printed".to_owned(),
                ));
            }
        };
        let algorithm = algorithm_of(&jwk, allowed).map_err(harmless)?;
        let key = public_jwk(kid.as_deref(), algorithm, jwk).map_err(harmless)?;
        let mut validation = Validation::new(library_algorithm(algorithm));
        // The claims are judged by the issuer's rules: their names differ, and the clock is one that tests can move.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { kid, algorithm, key, validation, trust: KeyTrust::new() })
    }

    /// Checks the signature and returns the claims.
    pub(super) fn decode(&self, token: &str) -> Result<ClaimSet, Error> {
        decode::<ClaimSet>(token, &self.key, &self.validation).map(|data| data.claims)
    }

    pub(super) fn trust(&self) -> &KeyTrust {
        &self.trust
    }

    fn is_same(&self, other: &Self) -> bool {
        let is_same_material = match (self.key.kind(), other.key.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(other)) => one == other,
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: other_n, e: other_e },
            ) => n == other_n && e == other_e,
            _ => false,
        };
        is_same_material && self.kid == other.kid && self.algorithm == other.algorithm
    }
}

/// Returns the one algorithm of a key: that which it states, or the first allowed one for keys of its type.
fn algorithm_of(jwk: &Value, allowed: &[Algorithm]) -> Result<Algorithm, String> {
    match jwk.get("alg") {
        Some(Value::String(name)) => {
            let found = allowed.iter().find(|algorithm| algorithm.name() == name);
            found.copied().ok_or_else(|| {
                format!("is for the algorithm {}, which `algorithms` does not allow", shown(name))
            })
        }
        Some(_) => Err("has an `alg` that is not a text".to_owned()),
        None => {
            let parameters = AlgorithmParameters::deserialize(jwk);
            let parameters = parameters.map_err(|_| "is of an unknown type or curve".to_owned())?;
            let found = allowed.iter().find(|algorithm| key_kind(**algorithm).fits(&parameters));
            found.copied().ok_or_else(|| "is of a type or curve that `algorithms` does not allow".to_owned())
        }
    }
}
