//! Section `auth`: whose tokens are believed, and who is given one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::config::Secret;

/// Authentication.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct AuthSettings {
    /// Whether a token is needed at all.
    pub enabled: bool,
    /// The `iss` that tokens must have, and that the gateway's own have.
    #[validate(length(min = 1, max = 256, message = "must have 1 to 256 bytes"))]
    pub issuer: String,
    /// The `aud` that tokens must have, and that the gateway's own have.
    #[validate(length(min = 1, max = 256, message = "must have 1 to 256 bytes"))]
    pub audience: String,
    /// How far clocks may differ.
    #[validate(range(max = 300, message = "must be from 0 to 300"))]
    pub leeway_seconds: u64,
    /// How long the gateway's own tokens are valid.
    #[validate(range(min = 1, max = 31_536_000, message = "must be from 1 to 31536000 (a year)"))]
    pub token_lifetime_seconds: u64,
    /// A token that is valid for longer than this, whoever issued it, is refused.
    #[validate(range(min = 1, max = 31_536_000, message = "must be from 1 to 31536000 (a year)"))]
    pub max_token_lifetime_seconds: u64,
    /// An HS256 key, the text's bytes, with which the gateway signs and verifies.
    pub signing_secret: Option<Secret>,
    /// An HS256 key that is not text, as base64 or base64url.
    pub signing_secret_base64: Option<Secret>,
    /// Which of `keys` signs; unset: `signing_secret`, or the only key that has a private part.
    pub signing_key: Option<String>,
    /// More keys, by their `kid`.
    #[serde(default)]
    #[validate(nested)]
    pub keys: BTreeMap<String, KeySettings>,
    /// Who may ask for tokens, by client id.
    #[serde(default)]
    #[validate(nested)]
    pub clients: BTreeMap<String, ClientSettings>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            issuer: "onnx-gateway".to_owned(),
            audience: "onnx-gateway".to_owned(),
            leeway_seconds: 30,
            token_lifetime_seconds: 3600,
            max_token_lifetime_seconds: 86_400,
            signing_secret: None,
            signing_secret_base64: None,
            signing_key: None,
            keys: BTreeMap::new(),
            clients: BTreeMap::new(),
        }
    }
}

/// A signature algorithm. A key is bound to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
#[expect(missing_docs, reason = "the names are those of RFC 7518 section 3.1 and RFC 8037")]
pub enum Algorithm {
    HS256,
    RS256,
    ES256,
    EdDSA,
}

impl TryFrom<String> for Algorithm {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "HS256" => Ok(Self::HS256),
            "RS256" => Ok(Self::RS256),
            "ES256" => Ok(Self::ES256),
            "EdDSA" => Ok(Self::EdDSA),
            _ => Err(format!("expected HS256, RS256, ES256 or EdDSA, got `{text}`")),
        }
    }
}

/// One key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Validate)]
pub struct KeySettings {
    /// The one algorithm that the key is for.
    pub algorithm: Option<Algorithm>,
    /// HS256: the text's bytes.
    pub secret: Option<Secret>,
    /// HS256: a key that is not text, as base64 or base64url.
    pub secret_base64: Option<Secret>,
    /// RS256, ES256, `EdDSA`: the public key as PEM.
    pub public_key: Option<String>,
    /// RS256, ES256, `EdDSA`: the public key as a JWK.
    pub jwk: Option<String>,
    /// The private key as PEM, if the gateway is to sign with it.
    pub private_key: Option<Secret>,
}

/// One client of `/token`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Validate)]
pub struct ClientSettings {
    /// The argon2id hash of its secret, as `onnx-gateway hash-secret` prints it.
    pub secret_hash: Option<Secret>,
    /// What its tokens may do: `predict`, `read`, `manage`, each for all models or one (`predict:iris`).
    #[serde(default, deserialize_with = "super::comma_list")]
    pub scopes: Vec<String>,
}
