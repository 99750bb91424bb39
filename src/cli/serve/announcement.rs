//! The lines that `serve FILE` prints once its models are ready: addresses, a token and requests to paste.

use std::{
    collections::BTreeSet,
    fs,
    future::pending,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::http::StatusCode;
use serde_json::json;
use tokio::time;

use super::example::{Example, examples};
use crate::{
    auth::{Authentication, Scopes},
    cli::{
        Failure,
        client::{self, OwnListener, Target},
        output,
    },
    config::{
        ListenAddress, ModelsSettings, QuotaSettings, RateLimitSettings, ServerSettings, Settings,
        TlsSettings,
    },
    model::ModelName,
    server::Gateway,
    serving::{Servable, VersionStatus},
};

/// Time between two checks for models that have become ready.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Time after which the caller is told what takes so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest body that is printed: a longer one is written to a file.
const MAX_PRINTED_BYTES: usize = 2000;

/// Most models of a folder that are shown.
const MAX_SHOWN: usize = 5;

/// The subject of the tokens.
const SUBJECT: &str = "developer";

/// Lifetime of a token that only tries the examples out.
const TRIAL_LIFETIME: Duration = Duration::from_mins(10);

/// The lines about one or more models, printed as they become ready.
pub(super) struct Announcement {
    /// The files that are served; empty for a folder.
    files: Vec<(ModelName, PathBuf)>,
    /// The folder for bodies that are too long to print.
    folder: PathBuf,
    access: Access,
    /// The public listener, and TLS of the operators'.
    listeners: (ServerSettings, TlsSettings),
    /// True if `/` is a page for browsers.
    has_console: bool,
    /// The line about quotas, if they are those of development.
    quota: String,
    as_json: bool,
    /// Models that have been announced, or reported as refused.
    announced: BTreeSet<ModelName>,
    refused: BTreeSet<ModelName>,
}

/// The token of requests.
struct Access {
    /// The token that the examples are tried with; `None` if they need none, or no key can sign one.
    tried: Option<String>,
    /// The token as requests show it; `None` if they need none.
    shown: Option<String>,
    /// True if the token may be shown: it is for development.
    is_known: bool,
    lifetime: Duration,
}

impl Announcement {
    /// Prepares the lines. `shows_token` is true if tokens are for development only, and may be printed.
    pub(super) fn new(
        files: &[PathBuf],
        folder: &Path,
        (settings, authentication): (&Settings, &Authentication),
        shows_token: bool,
        as_json: bool,
    ) -> Result<Self, Failure> {
        let named = |file: &PathBuf| Ok((ModelsSettings::model_of(file)?, file.clone()));
        let files = files.iter().map(named).collect::<Result<_, String>>()?;
        let access = Access::new(settings, authentication, shows_token)?;
        let (announced, refused) = Default::default();
        let has_console = settings.console.enabled;
        let quota = quota_line(&settings.rate_limit).filter(|_| shows_token).unwrap_or_default();
        Ok(Self {
            files,
            folder: folder.to_path_buf(),
            access,
            listeners: (settings.server.clone(), settings.admin.tls.clone()),
            has_console,
            quota,
            as_json,
            announced,
            refused,
        })
    }

    /// Prints the lines of each model once it is ready; then waits for ever.
    pub(super) async fn run(&mut self, gateway: &Gateway) {
        let started = gateway.serving().started();
        tokio::pin!(started);
        if time::timeout(PATIENCE, &mut started).await.is_err() {
            self.report_waiting(gateway);
            started.await;
        }
        loop {
            if let Err(error) = self.look(gateway).await {
                tracing::warn!(%error, "failed to print the addresses and the requests to paste");
                break;
            }
            if self.files.is_empty() || self.announced.len() == self.files.len() {
                break;
            }
            time::sleep(LOOK_INTERVAL).await;
        }
        pending::<()>().await;
    }

    async fn look(&mut self, gateway: &Gateway) -> Result<(), Failure> {
        let status = gateway.serving().status();
        let mut ready = gateway.serving().servables();
        ready.dedup_by(|next, kept| next.name == kept.name);
        ready.retain(|servable| !self.announced.contains(&servable.name));
        let is_first = self.announced.is_empty();
        if is_first && !ready.is_empty() && !self.as_json {
            output::print(&self.addresses(gateway))?;
        }
        let more = ready.len().saturating_sub(MAX_SHOWN.max(self.files.len()));
        for servable in ready.iter().take(ready.len() - more) {
            self.announce(gateway, servable).await?;
        }
        if more > 0 && !self.as_json {
            output::print(&format!("# and {more} more models: GET /models lists them\n"))?;
        }
        self.report_refused(&status);
        Ok(())
    }

    /// Says what the models wait for that are not ready yet.
    fn report_waiting(&self, gateway: &Gateway) {
        let status = gateway.serving().status();
        let waiting = status.iter().filter_map(|status| Some((&status.model, status.waiting.as_deref()?)));
        for (model, waiting) in waiting.take(MAX_SHOWN) {
            output::progress(&format!("{} is not ready yet: {waiting}", self.shown(model)));
        }
    }

    fn report_refused(&mut self, status: &[VersionStatus]) {
        for status in status.iter().filter(|status| !self.announced.contains(&status.model)) {
            if let Some(refusal) = &status.refusal
                && self.refused.insert(status.model.clone())
            {
                let shown = self.shown(&status.model);
                output::errors(&format!("{shown} is not served: {refusal}"));
                let goes_on = "the gateway goes on watching it, and serves the next file that is written there and works";
                output::progress(&format!("{goes_on}; Ctrl-C ends it"));
            }
        }
        for (model, file) in &self.files {
            if status.iter().all(|status| status.model != *model) && self.refused.insert(model.clone()) {
                output::errors(&format!("{} is not there any more", file.display()));
            }
        }
    }

    fn shown(&self, model: &ModelName) -> String {
        let file = self.files.iter().find(|(name, _)| name == model);
        file.map_or_else(|| model.to_string(), |(_, file)| file.display().to_string())
    }

    /// Returns the lines that concern all models.
    fn addresses(&self, gateway: &Gateway) -> String {
        let (public, admin) = (self.public_url(gateway.public_address()), self.admin_url(gateway));
        let socket = gateway.public_address().path().map(|path| format!(" (unix:{})", path.display()));
        let socket = socket.unwrap_or_default();
        let grpc = gateway.grpc_address().map(client::reachable);
        let grpc = grpc.map(|address| format!("  grpc   {address}\n")).unwrap_or_default();
        let token = match &self.access {
            Access { shown: None, .. } => "none is needed: auth.enabled is false".to_owned(),
            Access { is_known: true, shown: Some(token), .. } => {
                let hours = self.access.lifetime.as_secs().div_ceil(3600);
                format!("{token}\n         (for everything; until this gateway stops, for {hours} h at most)")
            }
            Access { shown: Some(_), .. } => {
                "TOKEN=$(onnx-gateway token --config FILE --subject NAME --scope predict)".to_owned()
            }
        };
        let console = if self.has_console {
            format!("  page   {public}/ (to try the models in a browser)\n")
        } else {
            String::new()
        };
        format!(
            "\nserving on {public}{socket}\n\n{console}  docs   {public}/docs\n  admin  {admin}/metrics, {admin}/health, for operators \
             and without a token\n{grpc}{}  token  {token}\n\n",
            self.quota
        )
    }

    async fn announce(&mut self, gateway: &Gateway, servable: &Arc<Servable>) -> Result<(), Failure> {
        let model = &servable.name;
        let address = client::reachable(gateway.public_address());
        let example = self.accepted(&address, servable).await;
        let curl = match &example {
            Some(example) => self.curl(&address, model, example)?,
            None => self.command(&address, &format!("{}/models/{model}", self.public_url(&address)), ""),
        };
        self.announced.insert(model.clone());
        if self.as_json {
            let document = json!({
                "model": model.as_str(),
                "file": self.files.iter().find(|(name, _)| name == model).map(|(_, file)| file),
                "url": self.public_url(&address),
                "console": self.has_console.then(|| format!("{}/", self.public_url(&address))),
                "docs": format!("{}/docs", self.public_url(&address)),
                "admin": self.admin_url(gateway),
                "grpc": gateway.grpc_address().map(ToString::to_string),
                "token": self.access.shown.as_ref().filter(|_| self.access.is_known),
                "curl": curl,
            });
            return Ok(output::print(&format!("{document}\n"))?);
        }
        let origin = match &example {
            Some(example) => example.origin,
            None => "no accepted request could be made up; this shows its inputs",
        };
        Ok(output::print(&format!("# {model}: {origin}\n{curl}\n\n"))?)
    }

    /// Returns the first example that the model answers; the first of all if none can be tried.
    async fn accepted(&self, address: &ListenAddress, servable: &Arc<Servable>) -> Option<Example> {
        let examples = examples(servable);
        if self.access.tried.is_none() && self.access.shown.is_some() {
            return examples.into_iter().next();
        }
        let target = Target::own(OwnListener::public(&self.listeners.0, address)).ok()?;
        for example in examples {
            let token = self.access.tried.as_deref();
            let body = Some(example.body.clone());
            let response = client::exchange(&target, "POST", &example.path, token, body).await;
            if response.is_ok_and(|(status, _)| status == StatusCode::OK) {
                return Some(example);
            }
        }
        None
    }

    /// Writes a request as a line for a shell. A long body goes into a file.
    fn curl(&self, address: &ListenAddress, model: &ModelName, example: &Example) -> io::Result<String> {
        let Example { path, body, .. } = example;
        let data = data(&self.folder, model, body)?;
        let request = format!(" -H 'Content-Type: application/json' -d {}", output::quoted(&data));
        Ok(self.command(address, &format!("{}{path}", self.public_url(address)), &request))
    }

    fn public_url(&self, address: &ListenAddress) -> String {
        url(address, &self.listeners.0.tls)
    }

    fn admin_url(&self, gateway: &Gateway) -> String {
        url(gateway.admin_address(), &self.listeners.1)
    }

    fn command(&self, address: &ListenAddress, url: &str, request: &str) -> String {
        let token = match &self.access.shown {
            None => String::new(),
            Some(token) => format!(" -H \"Authorization: Bearer {token}\""),
        };
        let socket =
            address.path().map(|path| format!(" --unix-socket {}", output::quoted(&path.to_string_lossy())));
        format!("curl -s -w '\\n'{} {url}{request}{token}", socket.unwrap_or_default())
    }
}

impl Access {
    fn new(settings: &Settings, authentication: &Authentication, is_known: bool) -> Result<Self, Failure> {
        let longest = Duration::from_secs(settings.auth.max_token_lifetime_seconds);
        let lifetime = if is_known { longest } else { longest.min(TRIAL_LIFETIME) };
        if !settings.auth.enabled {
            return Ok(Self { tried: None, shown: None, is_known, lifetime });
        }
        let tried = match &authentication.issuer {
            Some(issuer) => {
                Some(issuer.issue(SUBJECT, Scopes::all(), SystemTime::now(), Some(lifetime))?.token)
            }
            None => None,
        };
        let shown = tried.clone().filter(|_| is_known).unwrap_or_else(|| "$TOKEN".to_owned());
        Ok(Self { tried, shown: Some(shown), is_known, lifetime })
    }
}

/// Returns the argument of `curl -d` for a body. A long one is written to a file in the folder.
fn data(folder: &Path, model: &ModelName, body: &str) -> io::Result<String> {
    if body.len() <= MAX_PRINTED_BYTES {
        return Ok(body.to_owned());
    }
    let file = folder.join(format!("{model}.json"));
    fs::write(&file, body)?;
    Ok(format!("@{}", file.display()))
}

/// Returns the line about the quota of an address; `None` if there is no quota.
fn quota_line(settings: &RateLimitSettings) -> Option<String> {
    let QuotaSettings { requests, period_seconds } = settings.per_address;
    let line = format!(
        "  quota  {requests} requests in {period_seconds} s for each address (rate_limit.per_address)\n"
    );
    settings.enabled.then_some(line)
}

/// Returns the URL of a listener. The name of a Unix socket is not part of it.
fn url(address: &ListenAddress, tls: &TlsSettings) -> String {
    let scheme = if tls.is_on() { "https" } else { "http" };
    match address {
        ListenAddress::Tcp(_) => format!("{scheme}://{}", client::reachable(address)),
        ListenAddress::Unix(_) => format!("{scheme}://localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let model = "image".parse().unwrap();
        assert_eq!(data(folder.path(), &model, "{}").unwrap(), "{}");
        let body = "1".repeat(MAX_PRINTED_BYTES + 1);
        let argument = data(folder.path(), &model, &body).unwrap();
        assert_eq!(fs::read_to_string(argument.strip_prefix('@').unwrap()).unwrap(), body);
    }

    #[test]
    fn quotes_stay_what_they_are_in_a_shell() {
        assert_eq!(output::quoted(r#"{"a": "it's"}"#), r#"'{"a": "it'\''s"}'"#);
    }
}
