//! `onnx-gateway health`

use std::{path::PathBuf, time::Duration};

use axum::http::StatusCode;
use serde_json::json;

use super::{Failure, client, load_settings, output};
use crate::config::Environment;

/// A gateway that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `/health/ready` at `server.listen`.
pub(super) fn health(files: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let loaded = load_settings::settings(files, &Environment::of_process())?;
    let address = client::reachable(loaded.settings.server.listen);
    let (status, _) = client::ask(&address.to_string(), "GET", "/health/ready", None, TIMEOUT)?;
    let is_ready = status == StatusCode::OK;
    if as_json {
        let document = json!({"ready": is_ready, "address": address, "status": status.as_u16()});
        output::print(&format!("{document}\n"))?;
    }
    match is_ready {
        true if as_json => Ok(()),
        true => Ok(output::print("ready\n")?),
        false => Err(format!("{address} is not ready: it responded with {status}").into()),
    }
}
