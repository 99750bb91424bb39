//! `onnx-gateway health`

use std::{path::PathBuf, time::Duration};

use axum::http::StatusCode;

use super::{Failure, client, load_settings, output};
use crate::config::Environment;

/// A gateway that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `/health/ready` at `server.listen`.
pub(super) fn health(files: &[PathBuf]) -> Result<(), Failure> {
    let loaded = load_settings::settings(files, &Environment::of_process())?;
    let address = client::reachable(loaded.settings.server.listen);
    match client::ask(address, "GET", "/health/ready", None, TIMEOUT)? {
        (StatusCode::OK, _) => Ok(output::print("ready\n")?),
        (other, _) => Err(format!("{address} is not ready: it responded with {other}").into()),
    }
}
