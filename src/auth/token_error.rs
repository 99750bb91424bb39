//! Reasons to refuse a token. For the log only: the client learns no more than that the token is invalid.

use jsonwebtoken::errors::{Error, ErrorKind};

/// A reason to refuse a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token needs to be.
    #[error("the token is longer than {0} bytes")]
    TooLong(usize),
    /// Not three parts of base64url with JSON in them.
    #[error("the token is malformed: {0}")]
    Malformed(String),
    /// A header parameter that is refused (RFC 8725 sections 3.1, 3.10, 3.11).
    #[error("the header parameter `{0}` is not allowed")]
    Header(&'static str),
    /// No configured key has this id and algorithm.
    #[error("no key has this id and algorithm")]
    UnknownKey,
    /// The issuer's keys cannot be fetched, so the token cannot be judged now.
    #[error("the issuer's keys cannot be fetched now")]
    KeysUnavailable {
        /// Seconds after which they may be there.
        retry_after_seconds: u64,
    },
    /// An API key that is not configured.
    #[error("the API key is unknown")]
    ApiKey,
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// A claim is missing, of the wrong type, or not what it must be.
    #[error("the claim `{0}` is missing or wrong")]
    Claim(&'static str),
    /// Beyond `exp`.
    #[error("the token has expired")]
    Expired,
    /// Revoked by its client or an operator.
    #[error("the token was revoked")]
    Revoked,
    /// Before `nbf`, or issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Valid for longer than the gateway allows.
    #[error("the token is valid for longer than auth.max_token_lifetime_seconds")]
    LivesTooLong,
}

impl From<&Error> for TokenError {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Claim("iss"),
            ErrorKind::InvalidAudience => Self::Claim("aud"),
            ErrorKind::MissingRequiredClaim(_) => Self::Claim("exp, aud, iss or sub"),
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Self::UnknownKey,
            other => {
                let name = format!("{other:?}");
                Self::Malformed(name.split(['(', ' ']).next().unwrap_or_default().to_owned())
            }
        }
    }
}

impl TokenError {
    /// Returns the reason as a code, for the audit log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too_long",
            Self::Malformed(_) => "malformed",
            Self::Header(_) => "header",
            Self::UnknownKey => "unknown_key",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::ApiKey => "unknown_api_key",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::NotYetValid => "not_yet_valid",
            Self::LivesTooLong => "lives_too_long",
        }
    }
}
