//! Section `auth`: accepted tokens, and the clients that may request them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::config::Secret;

/// Authentication.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct AuthSettings {
    /// True if requests need a token.
    pub enabled: bool,
    /// The required `iss` of tokens, also set in the gateway's own.
    #[validate(length(min = 1, max = 256, message = "must have 1 to 256 bytes"))]
    pub issuer: String,
    /// The required `aud` of tokens, also set in the gateway's own.
    #[validate(length(min = 1, max = 256, message = "must have 1 to 256 bytes"))]
    pub audience: String,
    /// Tolerated difference between clocks.
    #[validate(range(max = 300, message = "must be from 0 to 300"))]
    pub leeway_seconds: u64,
    /// Lifetime of the gateway's own tokens.
    #[validate(range(min = 1, max = 31_536_000, message = "must be from 1 to 31536000 (a year)"))]
    pub token_lifetime_seconds: u64,
    /// Longest accepted lifetime of a token, whichever issuer it comes from.
    #[validate(range(min = 1, max = 31_536_000, message = "must be from 1 to 31536000 (a year)"))]
    pub max_token_lifetime_seconds: u64,
    /// An HS256 key, the text's bytes, with which the gateway signs and verifies.
    #[schemars(with = "Option<String>")]
    pub signing_secret: Option<Secret>,
    /// An HS256 key that is not text, as base64 or base64url.
    #[schemars(with = "Option<String>")]
    pub signing_secret_base64: Option<Secret>,
    /// The `kid` of the key that signs; unset: `signing_secret`, or the only key that has a private part.
    pub signing_key: Option<String>,
    /// More keys, by their `kid`.
    #[serde(default)]
    #[validate(nested)]
    pub keys: BTreeMap<String, KeySettings>,
    /// The clients that may request tokens, by client id.
    #[serde(default)]
    #[validate(nested)]
    pub clients: BTreeMap<String, ClientSettings>,
    /// Callers that are identified by the certificate of their connection, by name.
    #[serde(default)]
    #[validate(nested)]
    pub certificates: BTreeMap<String, CertificateSettings>,
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
            certificates: BTreeMap::new(),
        }
    }
}

impl AuthSettings {
    /// Returns true if there is a key that tokens are verified with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.signing_secret.is_some() || self.signing_secret_base64.is_some() || !self.keys.is_empty()
    }
}

/// A signature algorithm. A key is bound to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(!try_from)]
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
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct KeySettings {
    /// The only algorithm that the key is used with.
    pub algorithm: Option<Algorithm>,
    /// HS256: the text's bytes.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// HS256: a key that is not text, as base64 or base64url.
    #[schemars(with = "Option<String>")]
    pub secret_base64: Option<Secret>,
    /// RS256, ES256, `EdDSA`: the public key as PEM.
    pub public_key: Option<String>,
    /// RS256, ES256, `EdDSA`: the public key as a JWK.
    pub jwk: Option<String>,
    /// The private key as PEM, for a key that the gateway signs with.
    #[schemars(with = "Option<String>")]
    pub private_key: Option<Secret>,
}

/// One client of `/token`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct ClientSettings {
    /// The argon2id hash of the client's secret, as `onnx-gateway hash-secret` prints it.
    #[schemars(with = "Option<String>")]
    pub secret_hash: Option<Secret>,
    /// The scopes of the client's tokens: `predict`, `read`, `manage`, each for all models or one (`predict:iris`).
    #[serde(default, deserialize_with = "super::comma_list")]
    pub scopes: Vec<String>,
}

/// One caller that a client certificate identifies. If both names are set, the certificate must have both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct CertificateSettings {
    /// The subject of the certificate as RFC 4514 writes it, for example `CN=shop,O=Example`.
    pub subject: Option<String>,
    /// One of its alternative names: a DNS name, an address of mail, a URI or an IP address.
    pub san: Option<String>,
    /// The scopes of the caller: `predict`, `read`, `manage`, each for all models or one (`predict:iris`).
    #[serde(default, deserialize_with = "super::comma_list")]
    pub scopes: Vec<String>,
}
