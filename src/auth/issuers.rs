//! Other issuers whose tokens are accepted, side by side with the gateway's own keys.
//!
//! The `iss` of a token chooses the issuer, and only the keys of that issuer verify it. Keys come from a file, or are
//! fetched from the place in the settings; nothing in a token names a place.

mod claim_set;
mod key_source;
mod location;
mod observer;
mod published_keys;
mod rules;
mod schedule;

use std::{sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use tokio::{runtime::Handle, time::Instant};

use self::{
    claim_set::ClaimSet,
    key_source::{FetchedKeys, KeySource, Origin, Renewal},
    location::Location,
    observer::report,
    published_keys::PublishedKeys,
    rules::IssuerRules,
    schedule::LONGEST_WAIT,
};
use super::{
    Caller, TokenError,
    algorithm::{KeyKind, key_kind},
    header::TokenHeader,
    key_trust::KeyTrust,
};
use crate::{
    config::{Algorithm, AuthSettings, IssuerSettings, SettingsProblem},
    outbound::SourceUrl,
    telemetry::Metrics,
};

/// The issuers, by the names in the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Issuers(Vec<Issuer>);

/// An issuer.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    name: String,
    algorithms: Vec<Algorithm>,
    rules: IssuerRules,
    keys: IssuerKeys,
}

#[derive(Clone, Debug)]
enum IssuerKeys {
    /// Keys of the settings.
    Fixed(Arc<PublishedKeys>),
    /// Keys that are fetched.
    Fetched(Arc<KeySource>),
}

/// A reason not to accept a token now.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The token is not valid.
    Token(TokenError),
    /// The token may be of a key that is not known yet.
    UnknownKey(PendingKeys),
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// Keys that may be newer after a while.
#[derive(Debug)]
pub(super) struct PendingKeys(Arc<FetchedKeys>);

impl PendingKeys {
    /// Returns the time until which a request may wait for keys.
    pub(super) fn deadline() -> Instant {
        Instant::now() + LONGEST_WAIT
    }

    /// Waits until the keys may be others.
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownKey`] if they are current, [`TokenError::KeysUnavailable`] if there is no telling.
    pub(super) async fn renewed(&self, deadline: Instant) -> Result<(), TokenError> {
        match self.0.renew(deadline).await {
            Renewal::Fetched => Ok(()),
            Renewal::NotDue => Err(TokenError::UnknownKey),
            Renewal::Unavailable(after) => {
                Err(TokenError::KeysUnavailable { retry_after_seconds: after.as_secs().clamp(1, 60) })
            }
        }
    }
}

impl Issuers {
    /// Reads the issuers of the settings. `taken` are issuers that none of them may be.
    pub(super) fn read(settings: &AuthSettings, taken: &[&str], problems: &mut Vec<SettingsProblem>) -> Self {
        let mut issuers: Vec<Issuer> = Vec::new();
        for (name, issuer) in &settings.issuers {
            let mut add = |setting: &str, message: String| {
                problems.push(SettingsProblem::at(format!("auth.issuers.{name}.{setting}"), message));
            };
            let identifier = issuer.issuer.as_deref().unwrap_or_default();
            if taken.contains(&identifier) {
                add("issuer", "is the issuer of the gateway's own tokens, keys or certificates".to_owned());
            }
            if issuers.iter().any(|other| other.rules.issuer() == identifier) {
                add("issuer", "is that of another entry".to_owned());
            }
            issuers.extend(Issuer::read(name, issuer, settings, &mut add));
        }
        Self(issuers)
    }

    /// Returns issuers with the same keys and rules, for tokens of another audience.
    pub(super) fn for_audience(&self, audience: &str) -> Self {
        let of_other =
            |issuer: &Issuer| Issuer { rules: issuer.rules.for_audience(audience), ..issuer.clone() };
        Self(self.0.iter().map(of_other).collect())
    }

    /// Returns true if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the identifiers of the issuers.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|issuer| issuer.rules.issuer())
    }

    /// Returns the issuer that a token names; `None` if it is not one of these. The token is not verified yet.
    pub(super) fn of(&self, token: &str) -> Option<&Issuer> {
        #[derive(Deserialize)]
        struct Named {
            iss: String,
        }
        if self.is_empty() {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let Named { iss } = serde_json::from_slice(&payload).ok()?;
        self.0.iter().find(|issuer| issuer.rules.issuer() == iss)
    }

    /// Keeps the keys that older issuers have fetched from the same places.
    pub(super) fn take_over(&mut self, old: &Self) {
        for issuer in &mut self.0 {
            let IssuerKeys::Fetched(source) = &mut issuer.keys else { continue };
            let same = old.0.iter().find_map(|old| match &old.keys {
                IssuerKeys::Fetched(old) if old.is_same(source) => Some(old),
                _ => None,
            });
            if let Some(same) = same {
                *source = Arc::clone(same);
            }
        }
    }

    /// Starts to fetch keys on this runtime. Shows in the metrics only issuers that are still there.
    pub(super) fn start(&self, runtime: &Handle, metrics: &Arc<Metrics>) {
        let fetched = self.0.iter().filter_map(|issuer| match &issuer.keys {
            IssuerKeys::Fetched(source) => Some((issuer.name.as_str(), source)),
            IssuerKeys::Fixed(_) => None,
        });
        metrics.retain_issuers(&fetched.clone().map(|(name, _)| name).collect::<Vec<_>>());
        for (_, source) in fetched {
            source.start(runtime, metrics);
        }
    }

    /// Logs the keys of files that are left out.
    pub(super) fn report_left_out(&self) {
        for issuer in &self.0 {
            if let IssuerKeys::Fixed(keys) = &issuer.keys {
                report(&issuer.name, &keys.left_out);
            }
        }
    }
}

impl Issuer {
    fn read(
        name: &str,
        settings: &IssuerSettings,
        auth: &AuthSettings,
        add: &mut impl FnMut(&str, String),
    ) -> Option<Self> {
        let algorithms = settings.algorithms.clone();
        if algorithms.is_empty() {
            add("algorithms", "is empty: list those by which the issuer signs".to_owned());
        }
        let is_secret = |algorithm: &&Algorithm| matches!(key_kind(**algorithm), KeyKind::Secret { .. });
        if let Some(secret) = algorithms.iter().find(is_secret) {
            let secret = secret.name();
            add(
                "algorithms",
                format!("has {secret}, whose key is secret: an issuer publishes keys of pairs"),
            );
        }
        let rules = IssuerRules::read(settings, auth, add);
        let keys = IssuerKeys::read(name, settings, add);
        Some(Self { name: name.to_owned(), algorithms, rules: rules?, keys: keys? })
    }

    /// Returns the caller that a token describes, and the trust in the key that verified it.
    pub(super) fn judge(
        &self,
        token: &str,
        header: &TokenHeader,
        now: SystemTime,
    ) -> Result<(Caller, KeyTrust), Refusal> {
        match &self.keys {
            IssuerKeys::Fixed(keys) => Ok(self.judge_by(Some(keys), token, header, now)?),
            IssuerKeys::Fetched(source) => {
                let keys = source.fetched().keys();
                match self.judge_by(keys.as_deref(), token, header, now) {
                    Err(error) if self.may_be_of_new_key(&error, token, header, now) => {
                        Err(Refusal::UnknownKey(PendingKeys(Arc::clone(source.fetched()))))
                    }
                    judged => Ok(judged?),
                }
            }
        }
    }

    fn judge_by(
        &self,
        keys: Option<&PublishedKeys>,
        token: &str,
        header: &TokenHeader,
        now: SystemTime,
    ) -> Result<(Caller, KeyTrust), TokenError> {
        let mut error = TokenError::UnknownKey;
        for key in keys.into_iter().flat_map(|keys| keys.named_by(header)) {
            match key.decode(token) {
                Ok(claims) => return Ok((self.rules.judge(&claims, now)?, key.trust().clone())),
                Err(failure) => error = (&failure).into(),
            }
            if error != TokenError::Signature {
                break;
            }
        }
        Err(error)
    }

    /// Returns true if a token that no known key verifies would be valid but for its key. Others cause no fetch.
    fn may_be_of_new_key(
        &self,
        error: &TokenError,
        token: &str,
        header: &TokenHeader,
        now: SystemTime,
    ) -> bool {
        let is_unknown = match error {
            TokenError::UnknownKey => true,
            TokenError::Signature => header.kid.is_none(),
            _ => false,
        };
        let is_allowed = || self.algorithms.iter().any(|algorithm| algorithm.name() == header.algorithm);
        let is_plausible = || {
            let claims = insecure_decode_claims::<ClaimSet>(token);
            claims.is_ok_and(|claims| self.rules.judge(&claims, now).is_ok())
        };
        is_unknown && is_allowed() && is_plausible()
    }
}

impl IssuerKeys {
    /// Reads where the keys come from: exactly one of three settings.
    fn read(name: &str, settings: &IssuerSettings, add: &mut impl FnMut(&str, String)) -> Option<Self> {
        let IssuerSettings { issuer, jwks, jwks_url, discovery, algorithms, .. } = settings;
        let discovery = discovery.as_deref().filter(|discovery| *discovery != "false");
        let given = [
            ("jwks_url", jwks_url.is_some()),
            ("jwks_file", jwks.is_some()),
            ("discovery", discovery.is_some()),
        ];
        let given: Vec<&str> =
            given.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect();
        match given.as_slice() {
            [_] => {}
            [] => {
                let message = "is missing: set discovery = true, or jwks_url or jwks_file to where the issuer's keys are";
                add("discovery", message.to_owned());
                return None;
            }
            [first, others @ ..] => {
                add(
                    others.last().copied().unwrap_or_default(),
                    format!("and `{first}` are both set; remove one"),
                );
                return None;
            }
        }
        if let Some(jwks) = jwks {
            return Self::of_file(jwks, algorithms, add);
        }
        let issuer = issuer.clone()?;
        let location = match (jwks_url, discovery) {
            (Some(url), _) => {
                let url = url.parse::<SourceUrl>().map_err(|error| ("jwks_url", error.to_string()));
                url.map(Location::KeySet)
            }
            (None, discovery) => {
                let location = Location::of_discovery(discovery.unwrap_or_default(), &issuer);
                location.map_err(|message| ("discovery", message))
            }
        };
        let location = location.map_err(|(setting, message): (&str, String)| add(setting, message)).ok()?;
        let origin = Origin { name: name.to_owned(), issuer, location, algorithms: algorithms.clone() };
        Some(Self::Fetched(Arc::new(KeySource::new(origin))))
    }

    /// Reads the keys of a file. The operator can mend it, so keys that must not be published are errors.
    fn of_file(jwks: &str, algorithms: &[Algorithm], add: &mut impl FnMut(&str, String)) -> Option<Self> {
        let keys = PublishedKeys::parse(jwks.as_bytes(), algorithms);
        let keys = keys.map_err(|error| add("jwks_file", error.to_string())).ok()?;
        let mut is_usable = true;
        for grave in keys.left_out.iter().filter(|left| left.is_grave) {
            add("jwks_file", format!("cannot be used: {}", grave.message));
            is_usable = false;
        }
        is_usable.then(|| Self::Fixed(Arc::new(keys)))
    }
}
