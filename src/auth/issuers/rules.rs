//! Rules for the claims of one issuer, and the caller that they describe.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::Value;

use super::claim_set::{ClaimPath, ClaimSet};
use crate::{
    auth::{
        Caller, PlanName, Scopes, TokenError,
        claims::{Claims, ClaimsPolicy},
    },
    config::{AuthSettings, IssuerSettings},
};

/// The rules, from the settings.
#[derive(Clone, Debug)]
pub(super) struct IssuerRules {
    issuer: String,
    audience: Vec<String>,
    audience_claim: ClaimPath,
    scope_claim: ClaimPath,
    /// Scopes by the value of the claim that grants them. If empty, values that are scopes grant themselves.
    scopes: BTreeMap<String, Scopes>,
    plan_claim: Option<ClaimPath>,
    /// Claims with the values of which they must have one.
    required: Vec<(ClaimPath, Vec<String>)>,
    policy: ClaimsPolicy,
}

impl IssuerRules {
    /// Reads the rules of an issuer. `add` gets the setting below the issuer's section, and the problem.
    pub(super) fn read(
        settings: &IssuerSettings,
        auth: &AuthSettings,
        add: &mut impl FnMut(&str, String),
    ) -> Option<Self> {
        let issuer = settings.issuer.clone().filter(|issuer| !issuer.is_empty());
        if issuer.is_none() {
            add(
                "issuer",
                "is missing: set it to the `iss` of the issuer's tokens, letter for letter".to_owned(),
            );
        }
        if settings.audience.is_empty() || settings.audience.iter().any(String::is_empty) {
            add(
                "audience",
                "is missing: set it to the value by which the tokens name this gateway".to_owned(),
            );
        }
        for (name, path) in
            [("audience_claim", &settings.audience_claim), ("scope_claim", &settings.scope_claim)]
        {
            if path.is_empty() {
                add(name, "is empty: name a claim".to_owned());
            }
        }
        if settings.plan_claim.as_ref().is_some_and(String::is_empty) {
            add("plan_claim", "is empty: name a claim".to_owned());
        }
        let mut scopes = BTreeMap::new();
        for (value, granted) in &settings.scopes {
            match Scopes::parse(granted.0.iter().map(String::as_str)) {
                Ok(granted) => {
                    scopes.insert(value.clone(), granted);
                }
                Err(error) => add(&format!("scopes.{value}"), error.to_string()),
            }
        }
        for (claim, values) in &settings.required_claims {
            if values.values().is_empty() {
                add(
                    &format!("required_claims.{claim}"),
                    "is empty: list the values that are accepted".to_owned(),
                );
            }
        }
        let required = settings.required_claims.iter();
        Some(Self {
            issuer: issuer?,
            audience: settings.audience.clone(),
            audience_claim: ClaimPath::new(&settings.audience_claim),
            scope_claim: ClaimPath::new(&settings.scope_claim),
            scopes,
            plan_claim: settings.plan_claim.as_deref().map(ClaimPath::new),
            required: required
                .map(|(claim, values)| (ClaimPath::new(claim), values.values().to_vec()))
                .collect(),
            policy: ClaimsPolicy::of_issuer(auth, settings.leeway_seconds),
        })
    }

    /// Returns the rules for tokens of another audience.
    pub(super) fn for_audience(&self, audience: &str) -> Self {
        Self { audience: vec![audience.to_owned()], ..self.clone() }
    }

    /// Returns the issuer's identifier, the `iss` of its tokens.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Judges the claims of a token whose signature was verified.
    pub(super) fn judge(&self, claims: &ClaimSet, now: SystemTime) -> Result<Caller, TokenError> {
        let own = Self::common(claims)?;
        if own.iss != self.issuer {
            return Err(TokenError::Claim("iss"));
        }
        let audience = claims.at(&self.audience_claim);
        if !texts(audience).any(|name| self.audience.iter().any(|own| own == name)) {
            return Err(TokenError::Claim("of auth.issuers.NAME.audience_claim"));
        }
        for (claim, accepted) in &self.required {
            let value = claims.at(claim);
            if !accepted.iter().any(|accepted| has_value(value, accepted)) {
                return Err(TokenError::Claim("in auth.issuers.NAME.required_claims"));
            }
        }
        let plan = self.plan_claim.as_ref().and_then(|path| claims.at(path)?.as_str()).map(PlanName::from);
        Ok(self.policy.judge(own, self.scopes(claims), now)?.with_plan(plan))
    }

    /// Returns the claims that tokens of every issuer have.
    fn common(claims: &ClaimSet) -> Result<Claims, TokenError> {
        let text = |name: &'static str| match claims.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(TokenError::Claim(name)),
        };
        let time = |name: &'static str| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::Claim(name)),
        };
        let exp = time("exp")?.ok_or(TokenError::Claim("exp"))?;
        Ok(Claims {
            iss: text("iss")?,
            sub: text("sub")?,
            exp,
            nbf: time("nbf")?,
            iat: time("iat")?,
            jti: claims.get("jti").map(|_| text("jti")).transpose()?,
            scope: String::new(),
        })
    }

    /// Returns the scopes that the claims grant. Values that say nothing to this gateway are ignored.
    fn scopes(&self, claims: &ClaimSet) -> Scopes {
        let values = match claims.at(&self.scope_claim) {
            Some(Value::String(text)) => text.split(' ').collect(),
            other => texts(other).collect::<Vec<_>>(),
        };
        if self.scopes.is_empty() {
            return values.into_iter().map(Scopes::of_claim).collect();
        }
        values.into_iter().filter_map(|value| self.scopes.get(value).cloned()).collect()
    }
}

/// Returns the texts of a claim that is a text or a list.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(items)) => (None, Some(items)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

/// Returns true if a claim is this value, or a list with it. Numbers and truth values are compared as JSON writes them.
fn has_value(claim: Option<&Value>, accepted: &str) -> bool {
    match claim {
        Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(accepted)),
        Some(Value::String(text)) => text == accepted,
        Some(Value::Bool(flag)) => accepted == if *flag { "true" } else { "false" },
        Some(Value::Number(number)) => number.to_string() == accepted,
        _ => false,
    }
}
