//! `onnx-gateway api-key`

use std::io::{self, Write};

use clap::Args;
use serde_json::json;

use super::{Failure, output};
use crate::{
    auth::NewApiKey,
    config::{ApiKeySettings, Problems},
};

#[derive(Debug, Args)]
pub(super) struct ApiKeyArguments {
    /// The name of the key: what logs and quotas call its caller
    id: String,
    /// Scopes of the key, separated by spaces: predict, read, manage, each for all models or one (predict:iris)
    #[arg(long, default_value = "predict")]
    scope: String,
    /// The last day of the key (2027-12-31), or a time (2027-12-31T12:00:00Z); without: it does not expire
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// The plan of the key, one of `rate_limit.plans`; without: `rate_limit.default_plan`
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Print the key and its settings as JSON
    #[arg(long)]
    json: bool,
}

/// Makes an API key. The settings go to standard output; the key, which is shown once, to standard error.
pub(super) fn api_key(arguments: &ApiKeyArguments) -> Result<(), Failure> {
    let ApiKeyArguments { id, scope, expires, plan, json } = arguments;
    let scopes = scope.split_whitespace().map(str::to_owned).collect();
    let NewApiKey { key, settings } =
        NewApiKey::generate(id, scopes, expires.clone(), plan.clone()).map_err(Problems)?;
    let ApiKeySettings { hash, scopes, expires, plan } = settings;
    let optional = [("expires", &expires), ("plan", &plan)];
    let optional =
        optional.map(|(name, value)| value.as_ref().map(|value| format!("{name} = {}\n", json!(value))));
    // A name with a dot would be two parts without the quotes.
    let lines = format!(
        "[auth.api_keys.\"{id}\"]\nhash = {}\nscopes = {}\n{}",
        json!(hash),
        json!(scopes),
        optional.into_iter().flatten().collect::<String>()
    );
    if *json {
        let shown =
            json!({"key": key.expose(), "hash": hash, "scopes": scopes, "expires": expires, "plan": plan});
        return Ok(output::print(&format!("{shown}\n"))?);
    }
    // First, since settings without their key are of no use.
    writeln!(io::stderr(), "the key, which is shown only now: {}", key.expose())?;
    Ok(output::print(&lines)?)
}
