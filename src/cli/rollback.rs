//! `onnx-gateway rollback`

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Args;

use super::{
    Failure,
    client::{self, OwnListener, Target, TlsOptions},
    load_settings, output,
};
use crate::{
    auth::{Authentication, Scopes},
    config::{ClientCertificates, Environment, Loaded, Settings},
    model::ModelName,
    outbound::Address,
};

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    /// The model to roll back to its previous deployment
    #[arg(value_name = "MODEL")]
    model: ModelName,
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

/// Time limit of the rollback: loading the previous deployment takes as long as loading any model.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Lifetime of the token that is signed for this request.
const TOKEN_LIFETIME: Duration = Duration::from_mins(1);

/// Sends the rollback to the gateway at `--url`, or else at the listener of the settings that serves it.
pub(super) fn rollback(files: &[PathBuf], arguments: RollbackArguments) -> Result<(), Failure> {
    let RollbackArguments { model, url, tls, token, json: as_json } = arguments;
    let (target, prefix, token) = if let Some(url) = url {
        (Target::at(&url, &tls)?, url.path().to_owned(), token)
    } else {
        // Keys are read only to sign: with a token, the gateway's own settings need not be here.
        let loaded = load_settings::settings(files, &Environment::of_process())?;
        let token = token.map_or_else(|| signed(&loaded, &model), |token| Ok(Some(token)))?;
        (own(&loaded)?, String::new(), token)
    };
    let path = format!("{prefix}/models/{model}/rollback");
    let (status, response) = client::ask(&target, "POST", &path, token.as_deref(), TIMEOUT)?;
    let document: serde_json::Value = serde_json::from_str(&response).unwrap_or_default();
    if as_json {
        output::print(&format!("{document}\n"))?;
    }
    if status.is_success() {
        if as_json {
            return Ok(());
        }
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let (version, digest, replaces) = (text("version"), text("digest"), text("replaces"));
        return Ok(output::print(&format!(
            "{model} version {version} ({digest}) serves in place of {replaces}\n"
        ))?);
    }
    let detail = document["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    Err(format!("{model} was not rolled back: {detail}").into())
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
fn signed(loaded: &Loaded, model: &ModelName) -> Result<Option<String>, Failure> {
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
    let scopes = Scopes::parse([format!("manage:{model}").as_str()])?;
    Ok(Some(issuer.issue("onnx-gateway rollback", scopes, SystemTime::now(), Some(TOKEN_LIFETIME))?.token))
}
