//! `onnx-gateway token`

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Args;
use serde_json::json;

use super::{Failure, load_settings, output};
use crate::{auth::Scopes, config::Environment};

#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    /// The subject of the token: the `sub` claim
    #[arg(long)]
    subject: String,
    /// The scopes, separated by spaces: predict, read, manage, each for all models or one (predict:iris)
    #[arg(long)]
    scope: String,
    /// The lifetime; the default is `auth.token_lifetime_seconds`
    #[arg(long, value_name = "SECONDS")]
    lifetime_seconds: Option<u64>,
    /// The audience: the `aud` claim; the default is `auth.audience`. The admin listener takes that of `admin.audience`
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Print the token with its lifetime and scopes as JSON
    #[arg(long)]
    json: bool,
}

/// Signs a token and prints it.
pub(super) fn token(files: &[PathBuf], arguments: &TokenArguments) -> Result<(), Failure> {
    let (loaded, authentication) = load_settings::prepare(files, &Environment::of_process())?;
    let issuer = authentication.issuer.ok_or(
        "there is no key to sign with: set auth.signing_secret, or the private_key of a key in auth.keys",
    )?;
    let scopes = Scopes::parse(arguments.scope.split_whitespace())?;
    let longest = loaded.settings.auth.max_token_lifetime_seconds;
    if arguments.lifetime_seconds.is_some_and(|seconds| seconds == 0 || seconds > longest) {
        return Err(format!(
            "--lifetime-seconds must be from 1 to {longest} (auth.max_token_lifetime_seconds)"
        )
        .into());
    }
    let lifetime = arguments.lifetime_seconds.map(Duration::from_secs);
    let issuer = match &arguments.audience {
        Some(audience) => issuer.for_audience(audience),
        None => issuer,
    };
    let issued = issuer.issue(&arguments.subject, scopes, SystemTime::now(), lifetime)?;
    if arguments.json {
        // The names are those of a response of /token (RFC 6749, section 5.1).
        let document = json!({
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
            "scope": issued.scopes.to_string(),
        });
        return Ok(output::print(&format!("{document}\n"))?);
    }
    Ok(output::print(&format!("{}\n", issued.token))?)
}
