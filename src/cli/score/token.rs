//! Tokens for a gateway.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    auth::Scopes, cli::load_settings, config::Environment, model::ModelName, outbound::Address,
    scoring::Token,
};

/// Lifetime of a token that is signed here.
const LIFETIME: Duration = Duration::from_mins(2);

/// Returns the token of the command line.
pub(super) fn given(token: &str) -> Token {
    let token = token.to_owned();
    Token::new(move || Ok(token.clone()))
}

/// Returns the token that a file holds at the time of a request.
pub(super) fn of_file(file: &Path) -> Token {
    let file = file.to_path_buf();
    Token::new(move || {
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("--token-file: {}: {error}", file.display()))?;
        Ok(text.trim().to_owned())
    })
}

/// Signs tokens with the key of the settings, for a gateway on this machine. `None` if there is no key, or the gateway
/// is on another: it could use the token elsewhere.
pub(super) fn of_own_key(
    files: &[PathBuf],
    environment: &Environment,
    address: &Address,
    model: &ModelName,
) -> Option<Token> {
    if !address.is_loopback() {
        return None;
    }
    let (_, authentication) = load_settings::prepare(files, environment).ok()?;
    let issuer = authentication.issuer?;
    let scopes = Scopes::parse([format!("predict:{model}").as_str(), &format!("read:{model}")]).ok()?;
    let last: Mutex<Option<(Instant, String)>> = Mutex::new(None);
    Some(Token::new(move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = last.as_ref().filter(|(signed, _)| signed.elapsed() < LIFETIME / 2) {
            return Ok(token.clone());
        }
        let issued = issuer.issue("onnx-gateway score", scopes.clone(), SystemTime::now(), Some(LIFETIME));
        let token = issued.map_err(|error| error.to_string())?.token;
        *last = Some((Instant::now(), token.clone()));
        Ok(token)
    }))
}
