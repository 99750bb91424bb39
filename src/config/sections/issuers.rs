//! Sections `auth.issuers.NAME`: identity providers whose tokens are accepted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

use super::{Algorithm, one_or_more::OneOrMore};

/// One issuer of tokens. Its keys come from exactly one of `discovery`, `jwks_url` and `jwks_file`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct IssuerSettings {
    /// The `iss` of its tokens, letter for letter.
    #[validate(length(min = 1, max = 256, message = "must have 1 to 256 bytes"))]
    pub issuer: Option<String>,
    /// The values by which its tokens name this gateway; a token needs one of them.
    #[schemars(with = "OneOrMore")]
    #[serde(deserialize_with = "super::comma_list")]
    pub audience: Vec<String>,
    /// The claim that names the audience.
    pub audience_claim: String,
    /// True to find the keys by the issuer's discovery document; or the URL of another issuer that has it.
    #[schemars(with = "Option<FlagOrText>")]
    pub discovery: Option<String>,
    /// The URL of the issuer's keys, a JWK set.
    pub jwks_url: Option<String>,
    /// The issuer's keys themselves, a JWK set.
    pub jwks: Option<String>,
    /// The algorithms by which it signs. A key that names none is bound to the first that fits its type.
    pub algorithms: Vec<Algorithm>,
    /// Tolerated difference between clocks; unset: that of all tokens.
    #[validate(range(max = 300, message = "must be from 0 to 300"))]
    pub leeway_seconds: Option<u64>,
    /// The claim that has the scopes: a text with spaces, or a list. A path such as `realm_access.roles` is one in another.
    pub scope_claim: String,
    /// Scopes by the value of the claim that grants them; empty: values that are scopes grant themselves.
    pub scopes: BTreeMap<String, GrantedScopes>,
    /// The claim that names the plan of the caller; a plan that does not exist counts as none.
    pub plan_claim: Option<String>,
    /// Claims that a token needs, each with the values of which it needs one.
    pub required_claims: BTreeMap<String, OneOrMore>,
}

/// The scopes of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GrantedScopes(#[serde(deserialize_with = "super::comma_list")] pub Vec<String>);

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum FlagOrText {
    Flag(bool),
    Text(String),
}

impl Default for IssuerSettings {
    fn default() -> Self {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        Self {
            issuer: None,
            audience: Vec::new(),
            audience_claim: "aud".to_owned(),
            discovery: None,
            jwks_url: None,
            jwks: None,
            algorithms: vec![RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA],
            leeway_seconds: None,
            scope_claim: "scope".to_owned(),
            scopes: BTreeMap::new(),
            plan_claim: None,
            required_claims: BTreeMap::new(),
        }
    }
}

impl IssuerSettings {
    /// Returns the URL from which the keys are fetched, or of the issuer whose discovery document names it. `None` if they
    /// are in the settings.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        match self.discovery.as_deref() {
            Some("true") => self.issuer.as_deref(),
            Some(url) if url != "false" => Some(url),
            _ => self.jwks_url.as_deref(),
        }
    }
}
