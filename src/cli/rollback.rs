//! `onnx-gateway rollback`

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Args;

use super::{Failure, client, load_settings, output};
use crate::{auth::Scopes, config::Environment, model::ModelName};

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    /// The model to roll back to its previous deployment
    #[arg(value_name = "MODEL")]
    model: ModelName,
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

/// Sends the rollback to the gateway at `server.listen`.
pub(super) fn rollback(files: &[PathBuf], arguments: RollbackArguments) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let RollbackArguments { model, token, json: as_json } = arguments;
    let (loaded, authentication) = load_settings::prepare(files, &environment)?;
    let token = match (token, authentication.issuer) {
        (Some(token), _) => Some(token),
        (None, Some(issuer)) => {
            let scopes = Scopes::parse([format!("manage:{model}").as_str()])?;
            Some(
                issuer.issue("onnx-gateway rollback", scopes, SystemTime::now(), Some(TOKEN_LIFETIME))?.token,
            )
        }
        (None, None) if !loaded.settings.auth.enabled => None,
        (None, None) => {
            return Err(
                "there is no key to sign a token with: give a token of the scope manage with --token".into(),
            );
        }
    };
    let address = client::reachable(loaded.settings.server.listen);
    let path = format!("/models/{model}/rollback");
    let (status, response) = client::ask(address, "POST", &path, token.as_deref(), TIMEOUT)?;
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
