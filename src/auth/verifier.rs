//! JWT verification.

use std::{sync::Arc, time::SystemTime};

use jsonwebtoken::{
    DecodingKey, Validation, decode,
    errors::{Error, ErrorKind},
};

use super::{
    Caller, TokenError, algorithm,
    api_keys::{API_KEY_PREFIX, ApiKeys},
    claims::{Claims, ClaimsPolicy},
    header::TokenHeader,
    known_tokens::{KnownTokens, fingerprint},
};
use crate::config::{Algorithm, AuthSettings};

/// Longest token in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A verifier of tokens with the configured keys, and of API keys.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<VerificationKey>,
    api_keys: Arc<ApiKeys>,
    policy: ClaimsPolicy,
    known: KnownTokens,
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
    pub(super) fn new(keys: Vec<VerificationKey>, api_keys: ApiKeys, settings: &AuthSettings) -> Self {
        let (api_keys, policy) = (Arc::new(api_keys), ClaimsPolicy::new(settings));
        Self { keys, api_keys, policy, known: KnownTokens::default() }
    }

    /// Returns a verifier of tokens for another audience, with the same keys and rules.
    pub(super) fn for_audience(&self, audience: &str) -> Self {
        let keys = self.keys.iter().map(|key| key.for_audience(audience)).collect();
        let (api_keys, policy) = (Arc::clone(&self.api_keys), self.policy.clone());
        Self { keys, api_keys, policy, known: KnownTokens::default() }
    }

    /// Returns the caller of this token or API key.
    ///
    /// A token that names no key is tried with each key of its algorithm, so that a shared secret can be rotated.
    ///
    /// # Errors
    ///
    /// The reason why the token is refused.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong(MAX_TOKEN_BYTES));
        }
        let fingerprint = fingerprint(token);
        if let Some(caller) = self.known.caller(&fingerprint, now) {
            return Ok(caller);
        }
        let caller = Arc::new(self.judge(token, now)?);
        self.known.remember(fingerprint, &caller, now);
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

    fn judge(&self, token: &str, now: SystemTime) -> Result<Caller, TokenError> {
        if token.starts_with(API_KEY_PREFIX) {
            return self.api_keys.caller(token, now);
        }
        let header = TokenHeader::of(token)?;
        let mut error = TokenError::UnknownKey;
        for key in self.keys.iter().filter(|key| key.is_named_by(&header)) {
            match key.decode(token) {
                Ok(claims) => return self.policy.judge(claims, now),
                Err(failure) => error = translate(&failure),
            }
            if error != TokenError::Signature {
                break;
            }
        }
        Err(error)
    }
}

fn translate(error: &Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Claim("iss"),
        ErrorKind::InvalidAudience => TokenError::Claim("aud"),
        ErrorKind::MissingRequiredClaim(_) => TokenError::Claim("exp, aud, iss or sub"),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::UnknownKey,
        other => TokenError::Malformed(
            format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        ),
    }
}
