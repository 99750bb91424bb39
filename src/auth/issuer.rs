//! Giving tokens to clients (RFC 9068).

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header, encode};

use super::{
    Scopes, algorithm,
    claims::{Audience, Claims},
};
use crate::config::{Algorithm, AuthSettings};

/// Signs tokens with the gateway's key.
pub struct TokenIssuer {
    key: EncodingKey,
    header: Header,
    issuer: String,
    audience: String,
    lifetime: Duration,
}

/// A token that was signed.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// For how many seconds it is valid.
    pub expires_in: u64,
    /// What it permits.
    pub scopes: Scopes,
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenIssuer").field("header", &self.header).finish_non_exhaustive()
    }
}

impl TokenIssuer {
    pub(super) fn new(kid: Option<&str>, algorithm: Algorithm, key: EncodingKey, settings: &AuthSettings) -> Self {
        let mut header = Header::new(algorithm::of_library(algorithm));
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

    /// Signs a token for a subject. Its lifetime is the configured one unless another is given.
    ///
    /// # Errors
    ///
    /// When the key cannot sign, which the start has tried.
    pub fn issue(
        &self,
        subject: &str,
        scopes: Scopes,
        now: SystemTime,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, jsonwebtoken::errors::Error> {
        let lifetime = lifetime.unwrap_or(self.lifetime);
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = |time: Duration| Duration::from_secs(time.as_secs()).as_secs_f64();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: subject.to_owned(),
            aud: Audience::One(self.audience.clone()),
            exp: seconds(issued + lifetime),
            nbf: None,
            iat: Some(seconds(issued)),
            jti: Some(format!("{:032x}", rand::random::<u128>())),
            client_id: Some(subject.to_owned()),
            scope: scopes.to_string(),
        };
        let token = encode(&self.header, &claims, &self.key)?;
        Ok(IssuedToken { token, expires_in: lifetime.as_secs(), scopes })
    }
}
