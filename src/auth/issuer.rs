//! The issuer of tokens to clients (RFC 9068).

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

use super::{Scopes, algorithm};
use crate::config::{Algorithm, AuthSettings};

/// A signer of tokens with the gateway's key.
#[derive(Clone)]
pub struct TokenIssuer {
    key: EncodingKey,
    header: Header,
    issuer: String,
    audience: String,
    lifetime: Duration,
}

/// The claims that RFC 9068 section 2.2 requires; times in whole seconds, which many verifiers expect.
#[derive(Serialize)]
struct IssuedClaims<'c> {
    iss: &'c str,
    sub: &'c str,
    aud: &'c str,
    client_id: &'c str,
    iat: u64,
    exp: u64,
    jti: String,
    scope: String,
}

/// A signed token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// Lifetime in seconds.
    pub expires_in: u64,
    /// The scopes that it grants.
    pub scopes: Scopes,
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenIssuer").field("header", &self.header).finish_non_exhaustive()
    }
}

impl TokenIssuer {
    pub(super) fn new(
        kid: Option<&str>,
        algorithm: Algorithm,
        key: EncodingKey,
        settings: &AuthSettings,
    ) -> Self {
        let mut header = Header::new(algorithm::library_algorithm(algorithm));
        header.typ = Some("at+jwt".to_owned());
        header.kid = kid.map(str::to_owned);
        Self {
            key,
            header,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            lifetime: Duration::from_secs(settings.token_lifetime_seconds),
        }
    }

    /// Returns a signer of tokens for another audience.
    #[must_use]
    pub fn for_audience(&self, audience: &str) -> Self {
        Self { audience: audience.to_owned(), ..self.clone() }
    }

    /// Signs a token for a subject. The lifetime is the configured one unless another is given.
    ///
    /// # Errors
    ///
    /// If the key cannot sign. Startup signs once to rule this out.
    pub fn issue(
        &self,
        subject: &str,
        scopes: Scopes,
        now: SystemTime,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, jsonwebtoken::errors::Error> {
        let lifetime = lifetime.unwrap_or(self.lifetime);
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = IssuedClaims {
            iss: &self.issuer,
            sub: subject,
            aud: &self.audience,
            client_id: subject,
            iat: issued.as_secs(),
            exp: (issued + lifetime).as_secs(),
            jti: format!("{:032x}", rand::random::<u128>()),
            scope: scopes.to_string(),
        };
        let token = encode(&self.header, &claims, &self.key)?;
        Ok(IssuedToken { token, expires_in: lifetime.as_secs(), scopes })
    }
}
