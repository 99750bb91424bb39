//! `onnx-gateway health`

use std::{path::PathBuf, time::Duration};

use axum::http::StatusCode;
use clap::Args;
use serde_json::json;

use super::{
    Failure, client,
    client::{OwnListener, Target},
    load_settings, output,
};
use crate::config::{ClientCertificates, Environment, Settings, TlsSettings};

#[derive(Debug, Args)]
pub(super) struct HealthArguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// The certificate as PEM to show to listeners that require one of clients
    #[arg(long = "certificate-file", value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// The private key as PEM of --certificate-file
    #[arg(long = "private-key-file", value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
}

/// A gateway that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `/health/ready` at `server.listen`. The request carries no secret, so a certificate is not verified: the
/// gateway's own may be of any name, and be renewed at this moment.
pub(super) fn health(files: &[PathBuf], arguments: HealthArguments) -> Result<(), Failure> {
    let HealthArguments { json: as_json, certificate, private_key } = arguments;
    let own = certificate.zip(private_key);
    let loaded = load_settings::settings(files, &Environment::of_process())?;
    let listener = listener(&loaded.settings, own.is_some())?;
    let address = client::reachable(listener.listen);
    let target = Target::unproven(listener, own.as_ref())?;
    let (status, _) = client::ask(&target, "GET", "/health/ready", None, None, TIMEOUT)?;
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

/// Returns the listener to ask: that of the operators if only the public one requires a certificate that there is not.
fn listener(settings: &Settings, has_certificate: bool) -> Result<OwnListener<'_>, Failure> {
    let Settings { server, admin, .. } = settings;
    let is_open = |tls: &TlsSettings| has_certificate || tls.clients() != ClientCertificates::Required;
    if is_open(&server.tls) {
        Ok(OwnListener::public(server, &server.listen))
    } else if is_open(&admin.tls) {
        Ok(OwnListener::operators(admin))
    } else {
        Err("server.tls and admin.tls both require certificates of clients: name one to show with --certificate-file \
             and --private-key-file"
            .into())
    }
}
