//! `onnx-gateway hash-secret`

use std::io::{self, IsTerminal, Read};

use serde_json::json;

use super::{Failure, output};
use crate::auth;

/// Shortest acceptable secret in bytes.
const MIN_BYTES: usize = 12;

/// Longest acceptable secret in bytes: more is a file given by mistake.
const MAX_BYTES: u64 = 1024;

/// Reads a secret (not shown when typed) and prints its hash.
pub(super) fn hash_secret(as_json: bool) -> Result<(), Failure> {
    let secret = if io::stdin().is_terminal() {
        rpassword::prompt_password("secret (not shown): ")?
    } else {
        let mut text = String::new();
        io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text)?;
        text
    };
    let secret =
        secret.strip_suffix('\n').map_or(secret.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err("no secret was given: type it, or send it to standard input".into());
    }
    if secret.len() as u64 > MAX_BYTES {
        return Err(format!("the secret is longer than {MAX_BYTES} bytes").into());
    }
    if secret.len() < MIN_BYTES {
        let bytes = secret.len();
        output::warnings(&format!(
            "a secret of {bytes} bytes is easily guessed: openssl rand -hex 16 makes a good one"
        ));
    }
    let hash = auth::hash_secret(secret).map_err(|error| format!("the secret cannot be hashed: {error}"))?;
    let shown = if as_json { json!({"secret_hash": hash}).to_string() } else { hash };
    Ok(output::print(&format!("{shown}\n"))?)
}
