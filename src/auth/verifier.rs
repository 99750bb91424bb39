//! JWT verification.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{DecodingKey, Validation, decode, errors::Error};

use super::{
    Caller, Revocations, Scopes, TokenError, algorithm,
    api_keys::{API_KEY_PREFIX, ApiKeys},
    claims::{Claims, ClaimsPolicy},
    header::TokenHeader,
    issuers::{Issuers, PendingKeys, Refusal},
    key_trust::KeyTrust,
    known_tokens::{KnownTokens, fingerprint},
};
use crate::config::{Algorithm, AuthSettings};

/// Longest token in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A verifier of tokens with the configured keys or those of their issuers, and of API keys.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<VerificationKey>,
    pub(super) issuers: Issuers,
    api_keys: Arc<ApiKeys>,
    policy: ClaimsPolicy,
    known: Arc<KnownTokens>,
    revocations: Arc<Revocations>,
}

/// A key and the one algorithm it verifies.
#[derive(Clone, Debug)]
pub(super) struct VerificationKey {
    /// The id by which a token names it; `None` for the shared signing secret.
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

impl VerificationKey {
    pub(super) fn new(
        kid: Option<&str>,
        algorithm: Algorithm,
        key: DecodingKey,
        settings: &AuthSettings,
    ) -> Self {
        let mut validation = Validation::new(algorithm::library_algorithm(algorithm));
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The times are judged in `ClaimsPolicy`, against a clock that tests can move.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { kid: kid.map(str::to_owned), algorithm, key, validation }
    }

    fn for_audience(&self, audience: &str) -> Self {
        let mut key = self.clone();
        key.validation.set_audience(&[audience]);
        key
    }

    /// Checks the signature, issuer and audience.
    pub(super) fn decode(&self, token: &str) -> Result<Claims, Error> {
        decode::<Claims>(token, &self.key, &self.validation).map(|data| data.claims)
    }

    /// Returns true if a token with this header may be verified with this key: by its id, or without one by its
    /// algorithm.
    fn is_named_by(&self, header: &TokenHeader) -> bool {
        let id_fits = header.kid.is_none() || header.kid == self.kid;
        id_fits && header.algorithm == self.algorithm.name()
    }
}

impl Verifier {
    pub(super) fn new(
        keys: Vec<VerificationKey>,
        issuers: Issuers,
        api_keys: ApiKeys,
        settings: &AuthSettings,
    ) -> Self {
        let (api_keys, policy) = (Arc::new(api_keys), ClaimsPolicy::new(settings));
        Self { keys, issuers, api_keys, policy, known: Arc::default(), revocations: Arc::default() }
    }

    /// Returns the verifier with these revocations and an empty cache. It refuses their tokens, cached or not.
    pub(super) fn with_revocations(&self, revocations: Arc<Revocations>) -> Self {
        let known = Arc::default();
        revocations.watch(Arc::downgrade(&known));
        Self { known, revocations, ..self.clone() }
    }

    /// Returns the verifier with the keys that an older one has fetched from the same issuers.
    pub(super) fn with_fetched_keys(&self, old: &Self) -> Self {
        let mut verifier = self.clone();
        verifier.issuers.take_over(&old.issuers);
        verifier
    }

    /// Returns the longest time for which a token may still be accepted after it was issued.
    pub(super) fn longest_validity(&self) -> Duration {
        self.policy.longest_validity()
    }

    /// Returns a verifier of tokens for another audience, with the same keys, rules and revocations.
    pub(super) fn for_audience(&self, audience: &str) -> Self {
        let mut verifier = self.with_revocations(Arc::clone(&self.revocations));
        verifier.keys = self.keys.iter().map(|key| key.for_audience(audience)).collect();
        verifier.issuers = self.issuers.for_audience(audience);
        verifier
    }

    /// Returns the caller of this token or API key.
    ///
    /// A token that names no key is tried with each key of its algorithm, so that a shared secret can be rotated. One of
    /// a key that its issuer may have published since waits up to two seconds until the keys are fetched.
    ///
    /// # Errors
    ///
    /// The reason why the token is refused.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, TokenError> {
        let mut deadline = None;
        loop {
            match self.try_verify(token, now) {
                Ok(caller) => return Ok(caller),
                Err(Refusal::Token(error)) => return Err(error),
                // Ends: after a fetch for an unknown key, no other is due for longer than the deadline.
                Err(Refusal::UnknownKey(keys)) => {
                    keys.renewed(*deadline.get_or_insert_with(PendingKeys::deadline)).await?;
                }
            }
        }
    }

    /// Verifies with the keys that are known.
    pub(super) fn try_verify(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong(MAX_TOKEN_BYTES).into());
        }
        let fingerprint = fingerprint(token);
        if let Some(caller) = self.known.caller(&fingerprint, now) {
            return Ok(caller);
        }
        let generation = self.revocations.generation();
        let (caller, trust) = self.judge(token, now)?;
        let caller = Arc::new(caller);
        if self.revocations.cover(&caller) {
            return Err(TokenError::Revoked.into());
        }
        self.known.remember(fingerprint, &caller, trust, now);
        // A revocation in the meantime may have searched the cache before this token was in it.
        if self.revocations.generation() != generation && self.revocations.cover(&caller) {
            self.known.forget_if(|known| *known == *caller);
            return Err(TokenError::Revoked.into());
        }
        Ok(caller)
    }

    /// Returns the caller of a token that was verified before and is still valid; costs next to nothing.
    #[must_use]
    pub fn known(&self, token: &str, now: SystemTime) -> Option<Arc<Caller>> {
        (token.len() <= MAX_TOKEN_BYTES).then(|| self.known.caller(&fingerprint(token), now))?
    }

    pub(super) fn api_keys(&self) -> &ApiKeys {
        &self.api_keys
    }

    /// Takes over the last uses of the API keys of another verifier.
    pub(super) fn take_over(&self, old: &Self) {
        self.api_keys.take_over(&old.api_keys);
    }

    /// Removes tokens that have expired at this time.
    pub fn forget_expired(&self, now: SystemTime) {
        self.known.forget_expired(now);
    }

    /// Judges a token or API key, with the trust in its key if that may end.
    fn judge(&self, token: &str, now: SystemTime) -> Result<(Caller, Option<KeyTrust>), Refusal> {
        if token.starts_with(API_KEY_PREFIX) {
            return Ok((self.api_keys.caller(token, now)?, None));
        }
        let header = TokenHeader::of(token)?;
        match self.issuers.of(token) {
            Some(issuer) => issuer.judge(token, &header, now).map(|(caller, trust)| (caller, Some(trust))),
            None => Ok((self.judge_own(token, &header, now)?, None)),
        }
    }

    /// Judges a token by the configured keys.
    fn judge_own(&self, token: &str, header: &TokenHeader, now: SystemTime) -> Result<Caller, TokenError> {
        let mut error = TokenError::UnknownKey;
        for key in self.keys.iter().filter(|key| key.is_named_by(header)) {
            match key.decode(token) {
                Ok(claims) => {
                    let scopes = Scopes::of_claim(&claims.scope);
                    return self.policy.judge(claims, scopes, now);
                }
                Err(failure) => error = (&failure).into(),
            }
            if error != TokenError::Signature {
                break;
            }
        }
        Err(error)
    }
}
