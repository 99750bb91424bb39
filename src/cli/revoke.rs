//! `onnx-gateway revoke`

use std::{io, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    operator::{OperatorOptions, OperatorRequest},
};

#[derive(Debug, Args)]
pub(super) struct RevokeArguments {
    #[command(flatten)]
    tokens: Tokens,
    /// The issuer of --jti or --subject; the default is the gateway's own, `auth.issuer`
    #[arg(long, value_name = "ISSUER", conflicts_with = "stdin")]
    issuer: Option<String>,
    #[command(flatten)]
    operator: OperatorOptions,
}

/// The tokens to revoke.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Tokens {
    /// Revoke all tokens of this subject that were issued until now
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Revoke the token with this id, its `jti`
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// Revoke the token on standard input, where no list of processes shows it
    #[arg(long)]
    stdin: bool,
}

/// Reads a token from standard input.
fn token_from_stdin() -> Result<String, Failure> {
    let read = io::read_to_string(io::stdin());
    let text = read.map_err(|error| format!("--stdin: standard input cannot be read: {error}"))?;
    // As it is in a header.
    let token = text.trim();
    match token.strip_prefix("Bearer ").unwrap_or(token).trim_start() {
        "" => Err("--stdin: standard input is empty: expected the token".into()),
        token => Ok(token.to_owned()),
    }
}

/// Has the gateway revoke tokens.
pub(super) fn revoke(files: &[PathBuf], arguments: RevokeArguments) -> Result<(), Failure> {
    let RevokeArguments { tokens: Tokens { subject, jti, stdin }, issuer, operator } = arguments;
    let token = stdin.then(token_from_stdin).transpose()?;
    let named = [("subject", subject.as_deref()), ("jti", jti.as_deref()), ("token", token.as_deref())];
    let named = named.into_iter().chain([("issuer", issuer.as_deref())]);
    let body = named.filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
    let what = match (subject, jti) {
        (Some(subject), _) => format!("the tokens of {subject}"),
        (None, Some(id)) => format!("the token {id}"),
        (None, None) => "the token".to_owned(),
    };
    let request = OperatorRequest {
        command: "revoke",
        scope: "manage",
        path: "/revoke",
        body: Some(Value::Object(body)),
    };
    operator.send(files, &request)?.report(&format!("{what}: not revoked"), |document| {
        if document["revoked"] == false {
            return "the gateway does not accept this token, so nothing had to be revoked".to_owned();
        }
        let lost = "\nThe gateway cannot write its state directory, so a restart forgets this.";
        format!("{what}: revoked{}", if document["recorded"] == false { lost } else { "" })
    })
}
