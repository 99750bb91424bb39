//! Section `auth`: accepted tokens, and the clients that may request them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

use super::IssuerSettings;
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
    /// API keys by name, for callers that cannot request tokens.
    #[serde(default)]
    #[validate(nested)]
    pub api_keys: BTreeMap<String, ApiKeySettings>,
    /// Other issuers whose tokens are accepted, by name.
    #[serde(default)]
    pub issuers: BTreeMap<String, IssuerSettings>,
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
            api_keys: BTreeMap::new(),
            issuers: BTreeMap::new(),
            certificates: BTreeMap::new(),
        }
    }
}

impl AuthSettings {
    /// Returns true if there is a key that tokens are verified with, an issuer that has some, or an API key.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.signing_secret.is_some()
            || self.signing_secret_base64.is_some()
            || !self.keys.is_empty()
            || !self.api_keys.is_empty()
            || !self.issuers.is_empty()
    }
}

/// A signature algorithm. A key is bound to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(!try_from)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 section 3.1 and RFC 8037")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// Returns the name in a token's header, compared letter for letter (RFC 7515 section 4.1.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Returns the names of all algorithms, for people.
    #[must_use]
    pub fn names() -> String {
        let names = Self::ALL.map(Self::name);
        let [most @ .., last] = &names;
        format!("{} or {last}", most.join(", "))
    }
}

impl TryFrom<String> for Algorithm {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| format!("expected {}, got `{text}`", Self::names()))
    }
}

/// One key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct KeySettings {
    /// The only algorithm that the key is used with.
    pub algorithm: Option<Algorithm>,
    /// HS256, HS384, HS512: the text's bytes.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// HS256, HS384, HS512: a key that is not text, as base64 or base64url.
    #[schemars(with = "Option<String>")]
    pub secret_base64: Option<Secret>,
    /// The other algorithms: the public key as PEM.
    pub public_key: Option<String>,
    /// The other algorithms: the public key as a JWK.
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
    /// The name of the client's plan in `rate_limit.plans`; unset: `rate_limit.default_plan`.
    pub plan: Option<String>,
}

/// One API key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct ApiKeySettings {
    /// The SHA-256 of the key, as `onnx-gateway api-key` prints it.
    pub hash: Option<String>,
    /// The scopes of the key: `predict`, `read`, `manage`, each for all models or one (`predict:iris`).
    #[serde(default, deserialize_with = "super::comma_list")]
    pub scopes: Vec<String>,
    /// The name of the key's plan in `rate_limit.plans`; unset: `rate_limit.default_plan`.
    pub plan: Option<String>,
    /// The last day of the key (`2027-12-31`), or a time (`2027-12-31T12:00:00Z`); unset: it does not expire.
    pub expires: Option<String>,
}

/// One caller that a client certificate identifies. If both names are set, the certificate must have both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct CertificateSettings {
    /// The subject of the certificate as RFC 4514 writes it, for example `CN=shop,O=Example`.
    pub subject: Option<String>,
    /// One of its alternative names with its kind: `dns:shop.example`, `uri:spiffe://example/shop`, `email:…` or `ip:…`.
    /// The kind may be left out where the name can only be of one.
    pub san: Option<String>,
    /// The scopes of the caller: `predict`, `read`, `manage`, each for all models or one (`predict:iris`).
    #[serde(default, deserialize_with = "super::comma_list")]
    pub scopes: Vec<String>,
    /// The name of the caller's plan in `rate_limit.plans`; unset: `rate_limit.default_plan`.
    pub plan: Option<String>,
}
