//! `onnx-gateway health`

use std::{path::PathBuf, time::Duration};

use axum::http::StatusCode;
use serde_json::json;

use super::{
    Failure, client,
    client::{OwnListener, Target},
    load_settings, output,
};
use crate::config::{ClientCertificates, Environment, Settings};

/// A gateway that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `/health/ready` at `server.listen`. The request carries no secret, so a certificate is not verified: the
/// gateway's own may be of any name, and be renewed at this moment.
pub(super) fn health(files: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let loaded = load_settings::settings(files, &Environment::of_process())?;
    let listener = listener(&loaded.settings);
    let address = client::reachable(listener.listen);
    let target = Target::unproven(listener)?;
    let (status, _) = client::ask(&target, "GET", "/health/ready", None, TIMEOUT)?;
    let is_ready = status == StatusCode::OK;
    if as_json {
        let document = json!({"ready": is_ready, "address": address.to_string(), "status": status.as_u16()});
        output::print(&format!("{document}\n"))?;
    }
    match is_ready {
        true if as_json => Ok(()),
        true => Ok(output::print("ready\n")?),
        false => Err(format!("{address} is not ready: it responded with {status}").into()),
    }
}

/// Returns the listener to ask: that of the operators if the public one wants a certificate, which this command lacks.
fn listener(settings: &Settings) -> OwnListener<'_> {
    let Settings { server, admin, .. } = settings;
    if server.tls.clients() == ClientCertificates::Required {
        OwnListener::operators(admin)
    } else {
        OwnListener::public(server, &server.listen)
    }
}
