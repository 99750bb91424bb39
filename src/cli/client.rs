//! A small HTTP client for a running gateway.

use std::{
    fmt, io,
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
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
    time,
};

use super::Failure;
use crate::{
    config::{AdminSettings, ListenAddress, ServerSettings, TlsSettings, TrustedProxy},
    limits::Peer,
    outbound::Address,
    tls::{ClientConnection, ClientTls, OwnFiles, Trust, secure},
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

/// The header of the PROXY protocol, version 2, of a proxy's own connection.
const LOCAL_HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A gateway to send requests to.
pub(super) struct Target {
    place: Place,
    /// `None` without TLS.
    tls: Option<ClientTls>,
    /// True if the gateway takes this host for a proxy that begins connections with a header.
    sends_header: bool,
}

/// The place of a gateway.
enum Place {
    /// HOST:PORT.
    Network(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Place {
    /// Returns the value of the header `Host`.
    fn host(&self) -> &str {
        match self {
            Self::Network(authority) => authority,
            Self::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(authority) => formatter.write_str(authority),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// A listener of a gateway on this machine.
#[derive(Clone, Copy)]
pub(super) struct OwnListener<'s> {
    pub(super) listen: &'s ListenAddress,
    pub(super) tls: &'s TlsSettings,
    /// True if the gateway takes this host for a proxy that begins connections with a header.
    pub(super) sends_header: bool,
}

impl<'s> OwnListener<'s> {
    /// Returns the public listener at this address, which may differ from that of the settings by its port.
    pub(super) fn public(server: &'s ServerSettings, listen: &'s ListenAddress) -> Self {
        let is_trusted = match listen {
            ListenAddress::Unix(_) => Peer::UNIX.is_trusted(&server.trusted_proxies),
            ListenAddress::Tcp(address) => {
                TrustedProxy::any_has(&server.trusted_proxies, &local(*address).ip())
            }
        };
        Self { listen, tls: &server.tls, sends_header: server.proxy_protocol && is_trusted }
    }

    /// Returns the operators' listener, which expects no header.
    pub(super) fn operators(admin: &'s AdminSettings) -> Self {
        Self { listen: &admin.listen, tls: &admin.tls, sends_header: false }
    }
}

impl Target {
    /// Names a gateway by its URL.
    pub(super) fn at(address: &Address, options: &TlsOptions) -> Result<Self, Failure> {
        let place = Place::Network(address.authority().to_owned());
        Ok(Self { place, tls: options.prepare(address)?, sends_header: false })
    }

    /// Names a listener of a gateway on this machine, of which the certificate is in the settings.
    pub(super) fn own(listener: OwnListener<'_>) -> Result<Self, Failure> {
        let trust = match &listener.tls.certificate_file {
            Some(file) => Some(Trust::Own(file.clone())),
            None if listener.tls.is_on() => {
                return Err(
                    "certificate_file is not set, so the gateway with the private key cannot be known".into(),
                );
            }
            None => None,
        };
        Self::here(listener, trust.as_ref(), None)
    }

    /// Names a listener of a gateway on this machine without proof of its identity, for requests without a secret. The
    /// certificate, if there is one, is shown to it.
    pub(super) fn unproven(listener: OwnListener<'_>, own: Option<&OwnFiles>) -> Result<Self, Failure> {
        Self::here(listener, listener.tls.is_on().then_some(&Trust::Anyone), own)
    }

    fn here(
        listener: OwnListener<'_>,
        trust: Option<&Trust>,
        own: Option<&OwnFiles>,
    ) -> Result<Self, Failure> {
        let tls = trust.map(|trust| ClientTls::new(trust, own)).transpose()?;
        let place = match listener.listen {
            ListenAddress::Tcp(address) => Place::Network(local(*address).to_string()),
            ListenAddress::Unix(path) => Place::Unix(path.clone()),
        };
        Ok(Self { place, tls, sends_header: listener.sends_header })
    }

    /// Connects to the gateway.
    async fn connect(&self) -> io::Result<Box<dyn ClientConnection>> {
        let tls = self.tls.as_ref();
        match &self.place {
            Place::Network(authority) => {
                let mut stream = TcpStream::connect(authority).await?;
                // A request is one write, which should not wait for the next.
                stream.set_nodelay(true)?;
                self.begin(&mut stream).await?;
                let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
                secure(tls, stream, host).await
            }
            Place::Unix(path) => {
                let mut stream = UnixStream::connect(path).await?;
                self.begin(&mut stream).await?;
                secure(tls, stream, self.place.host()).await
            }
        }
    }

    async fn begin(&self, stream: &mut (impl ClientConnection + ?Sized)) -> io::Result<()> {
        if self.sends_header { stream.write_all(LOCAL_HEADER).await } else { Ok(()) }
    }
}

/// Returns the address by which a listener can be reached from the same machine.
pub(super) fn reachable(listen: &ListenAddress) -> ListenAddress {
    match listen {
        ListenAddress::Tcp(address) => local(*address).into(),
        ListenAddress::Unix(_) => listen.clone(),
    }
}

fn local(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// Sends a request, with a token and a JSON body if there are any, and returns the status and body of the response. Each
/// address of the host is tried.
pub(super) fn ask(
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
    json: Option<String>,
    timeout: Duration,
) -> Result<(StatusCode, String), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = exchange(target, method, path, token, json);
    let asked = runtime.block_on(async { time::timeout(timeout, sent).await });
    let address = &target.place;
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
    let stream = target.connect().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, target.place.host());
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
