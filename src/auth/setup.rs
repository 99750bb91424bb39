//! Authentication built from the settings, or the list of everything that makes it unsafe.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::jwk::JwkSet;
use tokio::runtime::Handle;

use super::{
    Caller, Clients, Revocations, Scopes, TokenError, TokenIssuer,
    api_keys::{self, ApiKeyState, ApiKeys},
    certificates::{self, Certificates},
    clients::{self, Client},
    development,
    header::is_key_id,
    issuers::Issuers,
    key_set::key_set,
    keys::{self, ReadKey},
    self_test,
    verifier::{VerificationKey, Verifier},
    weak_secret,
};
use crate::{
    config::{Algorithm, AuthSettings, SecretBytes, SettingsProblem},
    telemetry::Metrics,
    tls::ClientCertificate,
};

/// The one place that knows how callers authenticate: verification, issued tokens and clients.
#[derive(Debug)]
pub struct Authentication {
    /// The verifier of tokens; `None` if authentication is off.
    verifier: Option<Arc<Verifier>>,
    /// The verifier of tokens for other listeners, which can be revoked here; `None` if they are the same.
    of_others: Option<Arc<Verifier>>,
    /// The signer of tokens for clients; `None` if there is no key to sign with.
    pub issuer: Option<TokenIssuer>,
    /// The clients that may request tokens.
    pub clients: Arc<Clients>,
    /// The public keys of the tokens that the gateway signs.
    published: JwkSet,
    certificates: Arc<Certificates>,
    own_issuer: String,
    revocations: Arc<Revocations>,
}

impl Authentication {
    /// Reads and checks all keys, API keys and clients.
    ///
    /// `for_development` returns true if a setting comes from a file that may hold well-known credentials.
    ///
    /// # Errors
    ///
    /// Every key or client that is missing, malformed or unsafe, by its setting.
    pub fn new(
        settings: &AuthSettings,
        for_development: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Vec<SettingsProblem>> {
        let mut problems = Vec::new();
        let clients = read_clients(settings, for_development, &mut problems);
        let certificates = Certificates::read(settings, &mut problems);
        let keys = read_keys(settings, for_development, &mut problems);
        let api_keys = ApiKeys::read(&settings.api_keys, &mut problems);
        if settings.issuer == api_keys::ISSUER {
            problems.push(SettingsProblem::at("auth.issuer", "is the name for API keys: choose another"));
        }
        let taken = [settings.issuer.as_str(), api_keys::ISSUER, certificates::ISSUER];
        let issuers = Issuers::read(settings, &taken, &mut problems);
        let signing = signing_key(settings, &keys, &mut problems);
        let has_others = !api_keys.is_empty() || !certificates.is_empty() || !issuers.is_empty();
        if settings.enabled && keys.is_empty() && !has_others && problems.is_empty() {
            let message = "no key is configured, so no token could be verified: set \
                           GATEWAY__AUTH__SIGNING_SECRET (openssl rand -hex 32) or auth.keys, or write a configuration \
                           with keys by `onnx-gateway init`, or, to try things out, start with `onnx-gateway serve \
                           MODEL.onnx`";
            problems.push(SettingsProblem::at("auth.signing_secret", message));
        }
        if settings.enabled && !clients.is_empty() && signing.is_none() && problems.is_empty() {
            let message = "there are clients but no key to sign their tokens with: set auth.signing_secret or the \
                           private_key of a key";
            problems.push(SettingsProblem::at("auth.clients", message));
        }
        let issuer = signing.and_then(|signing| {
            let key = keys.iter().find(|(kid, _)| *kid == signing).map(|(_, key)| key)?;
            let encoding = key.signs.clone()?;
            Some(TokenIssuer::new(signing.as_deref(), key.algorithm, encoding, settings))
        });
        let published = key_set(keys.iter().filter_map(|(kid, key)| {
            key.signs.is_some().then_some((kid.as_deref()?, key.algorithm, &key.verifies))
        }));
        let published = published.map_err(|kid| {
            let key = format!("auth.keys.{kid}");
            vec![SettingsProblem::at(key, "cannot be published as a JWK at /.well-known/jwks.json")]
        })?;
        let pairs = self_test::pairs(&keys, settings);
        let verification: Vec<VerificationKey> = keys
            .into_iter()
            .map(|(kid, key)| VerificationKey::new(kid.as_deref(), key.algorithm, key.verifies, settings))
            .collect();
        let verifier = Verifier::new(verification, issuers, api_keys, settings);
        if problems.is_empty() {
            self_test::try_pairs(&pairs, &verifier, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let verifier = settings.enabled.then(|| Arc::new(verifier));
        let (clients, certificates) = (Arc::new(Clients::new(clients)), Arc::new(certificates));
        let (own_issuer, revocations) = (settings.issuer.clone(), Arc::default());
        Ok(Self {
            verifier,
            of_others: None,
            issuer,
            clients,
            published,
            certificates,
            own_issuer,
            revocations,
        })
    }

    /// Returns the same authentication for tokens of another audience.
    #[must_use]
    pub fn for_audience(&self, audience: &str) -> Self {
        Self {
            verifier: self.verifier.as_ref().map(|verifier| Arc::new(verifier.for_audience(audience))),
            of_others: self.verifier.clone(),
            issuer: self.issuer.as_ref().map(|issuer| issuer.for_audience(audience)),
            clients: Arc::clone(&self.clients),
            published: self.published.clone(),
            certificates: Arc::clone(&self.certificates),
            own_issuer: self.own_issuer.clone(),
            revocations: Arc::clone(&self.revocations),
        }
    }

    /// Returns the authentication with these revocations: it refuses their tokens.
    #[must_use]
    pub fn with_revocations(self, revocations: &Arc<Revocations>) -> Self {
        let verifier = self.verifier.map(|verifier| verifier.with_revocations(Arc::clone(revocations)));
        let verifier = verifier.map(Arc::new);
        Self { verifier, revocations: Arc::clone(revocations), ..self }
    }

    /// Returns the revocations.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Returns true if the token of this caller was revoked after it was verified.
    #[must_use]
    pub fn has_revoked(&self, caller: &Caller) -> bool {
        self.revocations.cover(caller)
    }

    /// Returns the longest time for which a token may still be accepted after it was issued.
    #[must_use]
    pub fn longest_token_validity(&self) -> Duration {
        self.verifier.as_ref().map(|verifier| verifier.longest_validity()).unwrap_or_default()
    }

    /// Returns the issuer of the gateway's own tokens.
    #[must_use]
    pub fn own_issuer(&self) -> &str {
        &self.own_issuer
    }

    /// Returns true if requests need a token. If not, every caller is [`Caller::anonymous`].
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.verifier.is_some()
    }

    /// Returns the public keys of the tokens that the gateway signs. Every key with a private half is among them, so
    /// that the next one is known before it signs.
    #[must_use]
    pub fn published_keys(&self) -> &JwkSet {
        &self.published
    }

    /// Returns true if clients can request tokens.
    #[must_use]
    pub fn gives_tokens(&self) -> bool {
        self.issuer.is_some() && !self.clients.is_empty()
    }

    /// Returns the authentication with the keys that were fetched under older settings, from issuers that are the same.
    #[must_use]
    pub fn with_fetched_keys(self, old: &Self) -> Self {
        let verifier = match (self.verifier, &old.verifier) {
            (Some(verifier), Some(old)) => Some(Arc::new(verifier.with_fetched_keys(old))),
            (verifier, _) => verifier,
        };
        Self { verifier, ..self }
    }

    /// Starts to fetch the keys of other issuers on this runtime, and to show them in the metrics.
    pub fn start(&self, runtime: &Handle, metrics: &Arc<Metrics>) {
        if let Some(verifier) = &self.verifier {
            verifier.issuers.report_left_out();
            verifier.issuers.start(runtime, metrics);
        }
    }

    /// Returns the identifiers of the other issuers whose tokens are accepted.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.verifier.iter().flat_map(|verifier| verifier.issuers.identifiers())
    }

    /// Returns the caller of this token. If authentication is off, no token is read. May wait up to two seconds for new
    /// keys of the token's issuer.
    ///
    /// # Errors
    ///
    /// The reason why the token is refused.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, TokenError> {
        match &self.verifier {
            Some(verifier) => verifier.verify(token, now).await.inspect(|caller| caller.note_use(now)),
            None => Ok(Arc::new(Caller::anonymous())),
        }
    }

    /// Returns the caller of this token, even if it is for another listener of the gateway.
    ///
    /// # Errors
    ///
    /// The reason why no listener takes it.
    pub async fn verify_any(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, TokenError> {
        match (self.verify(token, now).await, &self.of_others) {
            (Err(_), Some(others)) => others.verify(token, now).await,
            (verified, _) => verified,
        }
    }

    /// Returns the caller of a token that was verified before and is still valid; costs next to nothing.
    #[must_use]
    pub fn known(&self, token: &str, now: SystemTime) -> Option<Arc<Caller>> {
        self.verifier.as_ref()?.known(token, now).inspect(|caller| caller.note_use(now))
    }

    /// Returns the caller that the certificate of a connection identifies. `None` if it identifies none at this time, or
    /// authentication is off.
    #[must_use]
    pub fn by_certificate(&self, certificate: &ClientCertificate, now: SystemTime) -> Option<Arc<Caller>> {
        self.verifier.as_ref().and_then(|_| self.certificates.caller(certificate, now))
    }

    /// Takes over what was learnt under the settings before: the last uses of API keys.
    pub fn take_over(&self, old: &Self) {
        if let (Some(verifier), Some(old)) = (&self.verifier, &old.verifier) {
            verifier.take_over(old);
        }
    }

    /// Returns the state of each API key.
    pub fn api_keys(&self) -> impl Iterator<Item = ApiKeyState<'_>> {
        self.verifier.iter().flat_map(|verifier| verifier.api_keys().states())
    }

    /// Returns a warning for each credential that has expired or soon will.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        self.verifier.iter().flat_map(|verifier| verifier.api_keys().warnings(now)).collect()
    }

    /// Removes tokens that have expired at this time, and logs API keys that have.
    pub fn forget_expired(&self, now: SystemTime) {
        if let Some(verifier) = &self.verifier {
            verifier.forget_expired(now);
            verifier.api_keys().report_expired(now);
        }
    }
}

type Keys = Vec<(Option<String>, ReadKey)>;

fn read_keys(
    settings: &AuthSettings,
    for_development: &dyn Fn(&str) -> bool,
    problems: &mut Vec<SettingsProblem>,
) -> Keys {
    let mut keys: Keys = Vec::new();
    match signing_secret(settings) {
        Ok(Some((setting, secret))) => {
            let objection = if development::is_development_secret(secret.expose()) {
                (!for_development(setting)).then(|| {
                    "is the development key, which is public: it is only for config/development.toml"
                        .to_owned()
                })
            } else {
                weak_secret::weakness(Algorithm::HS256, secret.expose())
            };
            match objection {
                Some(objection) => problems.push(SettingsProblem::at(setting, objection)),
                None => keys.push((None, keys::from_secret(Algorithm::HS256, &secret))),
            }
        }
        Ok(None) => {}
        Err(problem) => problems.push(problem),
    }
    for (kid, key) in &settings.keys {
        if !is_key_id(kid) {
            let message = "is not a key id: 1 to 128 bytes that can be printed";
            problems.push(SettingsProblem::at(format!("auth.keys.{kid}"), message));
            continue;
        }
        match keys::read(kid, key) {
            Ok(key) => keys.push((Some(kid.clone()), key)),
            Err((setting, message)) => {
                problems.push(SettingsProblem::at(format!("auth.keys.{kid}.{setting}"), message));
            }
        }
    }
    keys
}

/// Returns the shared secret and the setting that holds it.
fn signing_secret(settings: &AuthSettings) -> Result<Option<(&'static str, SecretBytes)>, SettingsProblem> {
    const BASE64: &str = "auth.signing_secret_base64";
    match (&settings.signing_secret, &settings.signing_secret_base64) {
        (Some(text), None) => Ok(Some(("auth.signing_secret", SecretBytes::from(text)))),
        (None, Some(base64)) => {
            let bytes =
                base64.decode_base64().ok_or_else(|| SettingsProblem::at(BASE64, keys::NOT_BASE64))?;
            Ok(Some((BASE64, bytes)))
        }
        (Some(_), Some(_)) => {
            Err(SettingsProblem::at(BASE64, "and auth.signing_secret are both set; remove one"))
        }
        (None, None) => Ok(None),
    }
}

/// Returns the id of the signing key: `None` if there is none, `Some(None)` for the shared secret.
#[expect(clippy::option_option, reason = "the shared secret is a key without an id")]
fn signing_key(
    settings: &AuthSettings,
    keys: &Keys,
    problems: &mut Vec<SettingsProblem>,
) -> Option<Option<String>> {
    if let Some(named) = &settings.signing_key {
        let key = keys.iter().find(|(kid, _)| kid.as_ref() == Some(named));
        match key {
            Some((_, key)) if key.signs.is_some() => return Some(Some(named.clone())),
            Some(_) => problems.push(SettingsProblem::at(
                "auth.signing_key",
                format!("auth.keys.{named} has no private_key to sign with"),
            )),
            None => problems
                .push(SettingsProblem::at("auth.signing_key", format!("there is no auth.keys.{named}"))),
        }
        return None;
    }
    let signing: Vec<_> = keys.iter().filter(|(_, key)| key.signs.is_some()).map(|(kid, _)| kid).collect();
    match signing.as_slice() {
        [] => None,
        [only] => Some((*only).clone()),
        several if several.contains(&&None) => Some(None),
        _ => {
            let message = "is missing: several keys could sign, name one";
            problems.push(SettingsProblem::at("auth.signing_key", message));
            None
        }
    }
}

fn read_clients(
    settings: &AuthSettings,
    for_development: &dyn Fn(&str) -> bool,
    problems: &mut Vec<SettingsProblem>,
) -> BTreeMap<String, Client> {
    let mut clients = BTreeMap::new();
    for (id, client) in &settings.clients {
        let key = format!("auth.clients.{id}");
        let scopes = match Scopes::parse(client.scopes.iter().map(String::as_str)) {
            Ok(scopes) => Some(scopes),
            Err(error) => {
                problems.push(SettingsProblem::at(format!("{key}.scopes"), error.to_string()));
                None
            }
        };
        if client.scopes.is_empty() {
            let message = "is empty: give the client at least one scope";
            problems.push(SettingsProblem::at(format!("{key}.scopes"), message));
        }
        match &client.secret_hash {
            None => {
                let message = "is missing: make one with `onnx-gateway hash-secret`";
                problems.push(SettingsProblem::at(format!("{key}.secret_hash"), message));
            }
            Some(hash)
                if development::is_development_client(id, hash.expose())
                    && !for_development(&format!("{key}.secret_hash")) =>
            {
                let message = "is the development client, whose secret is public: it is only for \
                               config/development.toml";
                problems.push(SettingsProblem::at(&key, message));
            }
            Some(hash) => match (clients::objection(hash.expose()), scopes) {
                (Some(objection), _) => {
                    problems.push(SettingsProblem::at(format!("{key}.secret_hash"), objection));
                }
                (None, Some(scopes)) => {
                    clients.insert(id.clone(), Client { secret_hash: hash.expose().to_owned(), scopes });
                }
                (None, None) => {}
            },
        }
    }
    clients
}
