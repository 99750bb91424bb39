//! A small HTTP client for a running gateway.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use clap::Args;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time;

use super::Failure;
use crate::{
    config::TlsSettings,
    scoring::Address,
    tls::{ClientTls, OwnFiles, Trust, connect},
};

/// Options for a gateway whose URL begins with `https`.
#[derive(Debug, Default, Args)]
pub(super) struct TlsOptions {
    /// With an https URL: the certificates as PEM of the authorities to trust, in place of those of the system
    #[arg(long = "ca-file", value_name = "FILE", requires = "url")]
    authorities: Option<PathBuf>,
    /// The certificate as PEM to show to a gateway that asks for one
    #[arg(long = "certificate-file", value_name = "FILE", requires_all = ["url", "private_key"])]
    certificate: Option<PathBuf>,
    /// The private key as PEM of --certificate-file
    #[arg(long = "private-key-file", value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
}

impl TlsOptions {
    /// Prepares TLS for a gateway; `None` if its URL does not ask for it.
    pub(super) fn prepare(&self, address: &Address) -> Result<Option<ClientTls>, Failure> {
        let Self { authorities, certificate, private_key } = self;
        if !address.is_encrypted() {
            let given = authorities.is_some() || certificate.is_some();
            return if given {
                Err("--ca-file and --certificate-file are for TLS: begin the URL with https".into())
            } else {
                Ok(None)
            };
        }
        let trust = authorities.clone().map_or(Trust::System, Trust::Authorities);
        let own = certificate.clone().zip(private_key.clone());
        Ok(Some(ClientTls::new(&trust, own.as_ref())?))
    }
}

/// A gateway to send requests to.
pub(super) struct Target {
    /// HOST:PORT.
    authority: String,
    /// `None` without TLS.
    tls: Option<ClientTls>,
}

impl Target {
    /// Names a gateway by its URL.
    pub(super) fn at(address: &Address, options: &TlsOptions) -> Result<Self, Failure> {
        Ok(Self { authority: address.authority().to_owned(), tls: options.prepare(address)? })
    }

    /// Names a listener of a gateway on this machine, of which the certificate is in the settings.
    pub(super) fn own(listen: SocketAddr, section: &TlsSettings) -> Result<Self, Failure> {
        let trust = match &section.certificate_file {
            Some(file) => Some(Trust::Own(file.clone())),
            None if section.is_on() => {
                return Err(
                    "certificate_file is not set, so the gateway with the private key cannot be known".into(),
                );
            }
            None => None,
        };
        Self::here(listen, trust.as_ref(), None)
    }

    /// Names a listener of a gateway on this machine without proof of its identity, for requests without a secret. The
    /// certificate, if there is one, is shown to it.
    pub(super) fn unproven(
        listen: SocketAddr,
        section: &TlsSettings,
        own: Option<&OwnFiles>,
    ) -> Result<Self, Failure> {
        Self::here(listen, section.is_on().then_some(&Trust::Anyone), own)
    }

    fn here(listen: SocketAddr, trust: Option<&Trust>, own: Option<&OwnFiles>) -> Result<Self, Failure> {
        let tls = trust.map(|trust| ClientTls::new(trust, own)).transpose()?;
        Ok(Self { authority: reachable(listen).to_string(), tls })
    }
}

/// Returns the address by which a listener can be reached from the same machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// Sends a request without a body, with a token if there is one, and returns the status and body of the response. Each
/// address of the host is tried.
pub(super) fn ask(
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
    timeout: Duration,
) -> Result<(StatusCode, String), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = exchange(target, method, path, token, None);
    let asked = runtime.block_on(async { time::timeout(timeout, sent).await });
    let address = &target.authority;
    asked
        .map_err(|_| format!("{address} did not respond within {} s", timeout.as_secs()))?
        .map_err(|error| format!("the request to {address} failed: {error}").into())
}

/// Sends a request, with a token and a JSON body if there are any, and returns the status and body of the response.
pub(super) async fn exchange(
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
    json: Option<String>,
) -> Result<(StatusCode, String), Failure> {
    let stream = connect(target.tls.as_ref(), &target.authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, &target.authority);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = match json {
        Some(json) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(json))?,
        None => request.body(Body::empty())?,
    };
    let asked = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let (response, _connection) = tokio::join!(asked, connection);
    Ok(response?)
}
