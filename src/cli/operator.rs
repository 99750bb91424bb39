//! Requests that operators send to a running gateway.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use axum::http::StatusCode;
use clap::Args;
use serde_json::Value;

use super::{
    Failure,
    client::{self, OwnListener, Target, TlsOptions},
    load_settings, output,
};
use crate::{
    auth::{Authentication, Scopes},
    config::{ClientCertificates, Environment, Loaded, Settings},
    outbound::Address,
};

/// The gateway, and what to show it.
#[derive(Debug, Args)]
pub(super) struct OperatorOptions {
    /// The gateway, http://HOST:PORT or https://HOST:PORT; the default is `server.listen` on this machine, or
    /// `admin.listen` if `server.management` is `admin`
    #[arg(long, value_name = "URL", requires = "token")]
    url: Option<Address>,
    #[command(flatten)]
    tls: TlsOptions,
    /// A token with the scope `manage`; without one, the gateway's own key signs one
    #[arg(long)]
    token: Option<String>,
    /// Print the gateway's response as JSON
    #[arg(long)]
    json: bool,
}

/// A request to the gateway.
pub(super) struct OperatorRequest<'r> {
    /// The command, which is the subject of the token that is signed for it.
    pub(super) command: &'static str,
    /// The scope that it needs.
    pub(super) scope: &'r str,
    /// The path, without the prefix of the gateway's URL.
    pub(super) path: &'r str,
    /// The body, as JSON; `None` for none.
    pub(super) body: Option<Value>,
}

/// A response of the gateway.
pub(super) struct OperatorResponse {
    status: StatusCode,
    document: Value,
    is_printed: bool,
}

/// Time limit of a request: loading the previous deployment takes as long as loading any model.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Lifetime of the token that is signed for a request.
const TOKEN_LIFETIME: Duration = Duration::from_mins(1);

impl OperatorOptions {
    /// Sends a POST request to the gateway at `--url`, or else at the listener of the settings that serves operators.
    pub(super) fn send(
        self,
        files: &[PathBuf],
        request: &OperatorRequest<'_>,
    ) -> Result<OperatorResponse, Failure> {
        let Self { url, tls, token, json: is_printed } = self;
        let (target, prefix, token) = if let Some(url) = url {
            (Target::at(&url, &tls)?, url.path().to_owned(), token)
        } else {
            // Keys are read only to sign: with a token, the gateway's own settings need not be here.
            let loaded = load_settings::settings(files, &Environment::of_process())?;
            let token = token.map_or_else(|| signed(&loaded, request), |token| Ok(Some(token)))?;
            (own(&loaded)?, String::new(), token)
        };
        let path = format!("{prefix}{}", request.path);
        let body = request.body.as_ref().map(Value::to_string);
        let (status, response) = client::ask(&target, "POST", &path, token.as_deref(), body, TIMEOUT)?;
        let document: Value = match serde_json::from_str(&response) {
            Ok(document) => document,
            Err(_) if status.is_success() => {
                return Err(format!(
                    "status {status} came without JSON: is it a gateway that listens there, or another program?"
                )
                .into());
            }
            // The status says it.
            Err(_) => Value::Null,
        };
        if is_printed {
            output::print(&format!("{document}\n"))?;
        }
        Ok(OperatorResponse { status, document, is_printed })
    }
}

impl OperatorResponse {
    /// Prints what was done, unless the response was printed as JSON.
    ///
    /// # Errors
    ///
    /// If the gateway refused: `failed` says what was not done, and the gateway why.
    pub(super) fn report(self, failed: &str, done: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        let Self { status, document, is_printed } = self;
        if !status.is_success() {
            let detail = document["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
            return Err(format!("{failed}: {detail}").into());
        }
        if is_printed {
            return Ok(());
        }
        Ok(output::print(&format!("{}\n", done(&document)))?)
    }
}

/// Returns the gateway of the settings, which is on this machine.
fn own(loaded: &Loaded) -> Result<Target, Failure> {
    let Settings { server, admin, .. } = &loaded.settings;
    let (section, listener) = if loaded.settings.management_is_public() {
        ("server", OwnListener::public(server, &server.listen))
    } else {
        ("admin", OwnListener::operators(admin))
    };
    if listener.tls.clients() == ClientCertificates::Required {
        return Err(format!(
            "{section}.tls.client_certificates is required: name the gateway with --url, a token with --token, and a \
             certificate with --certificate-file and --private-key-file"
        )
        .into());
    }
    Target::own(listener)
}

/// Signs a token with the key of the settings. `None` if the gateway needs none.
fn signed(loaded: &Loaded, request: &OperatorRequest<'_>) -> Result<Option<String>, Failure> {
    let auth = &loaded.settings.auth;
    if !auth.enabled {
        return Ok(None);
    }
    let no_key = "there is no key to sign a token with: give a token of the scope manage with --token, or the settings of \
                  the gateway with --config FILE";
    if !auth.has_keys() {
        return Err(no_key.into());
    }
    let authentication = Authentication::new(auth, &|key| loaded.is_for_development(key))
        .map_err(|problems| loaded.with_origins(problems))?;
    let issuer = authentication.issuer.ok_or(no_key)?;
    let issuer = if loaded.settings.management_is_public() {
        issuer
    } else {
        issuer.for_audience(loaded.settings.admin_audience())
    };
    let (subject, scopes) = (format!("onnx-gateway {}", request.command), Scopes::parse([request.scope])?);
    Ok(Some(issuer.issue(&subject, scopes, SystemTime::now(), Some(TOKEN_LIFETIME))?.token))
}
