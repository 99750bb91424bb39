//! A connection to a gateway that is kept open between requests.

use std::{str::FromStr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{runtime::Runtime, time};

use crate::tls::{self, ClientTls};

/// Time limit of one request, with its connection.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host and port, as in a URL.
    authority: String,
    /// The path before those of the gateway, without a slash at its end.
    path: String,
    is_encrypted: bool,
}

/// A URL that names no gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT or https://HOST:PORT")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError)?;
        let (is_encrypted, port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(AddressError),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let is_plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte));
        if host.is_empty() || !is_plain(rest) {
            return Err(AddressError);
        }
        let authority = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self { authority, path: path.trim_end_matches('/').to_owned(), is_encrypted })
    }
}

impl Address {
    /// Returns host and port, as in a URL.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the path before those of the gateway, without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns true if the gateway is reached with TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Returns true if the host is this machine by its name or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| host);
        let is_loopback = |address: std::net::IpAddr| address.is_loopback();
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(is_loopback)
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// The time after which the gateway wants the request again.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// A connection, which is made again after it fails.
pub(super) struct Connection {
    runtime: Runtime,
    address: Address,
    tls: Option<ClientTls>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(super) fn new(address: Address, tls: Option<ClientTls>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, address, tls, sender: None })
    }

    /// Waits before the next request.
    pub(super) fn wait(&self, pause: Duration) {
        self.runtime.block_on(async { time::sleep(pause).await });
    }

    /// Sends a request and returns the response; a body makes it a POST of JSON.
    pub(super) fn send(
        &mut self,
        path: &str,
        token: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Response, String> {
        let Self { runtime, address, tls, sender } = self;
        let exchange = exchange((address, tls.as_ref()), sender, path, token, body);
        let sent = runtime.block_on(async { time::timeout(TIMEOUT, exchange).await });
        let sent = sent.unwrap_or_else(|_| Err(format!("no response within {} s", TIMEOUT.as_secs())));
        if sent.is_err() {
            self.sender = None;
        }
        sent.map_err(|error| format!("the request to {} failed: {error}", self.address.authority))
    }
}

async fn exchange(
    (address, tls): (&Address, Option<&ClientTls>),
    sender: &mut Option<SendRequest<Full<Bytes>>>,
    path: &str,
    token: Option<&str>,
    body: Option<Bytes>,
) -> Result<Response, String> {
    if sender.as_ref().is_none_or(SendRequest::is_closed) {
        *sender = Some(connect(address, tls).await?);
    }
    let open = sender.as_mut().ok_or("there is no connection")?;
    open.ready().await.map_err(|error| error.to_string())?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let uri = format!("{}{path}", address.path);
    let mut request = Request::builder().method(method).uri(uri).header(header::HOST, &address.authority);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(body.unwrap_or_default())).map_err(|error| error.to_string())?;
    let response = open.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let seconds =
        response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = seconds.map(Duration::from_secs);
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Response { status, retry_after, body })
}

async fn connect(address: &Address, tls: Option<&ClientTls>) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = tls::connect(tls, &address.authority).await.map_err(|error| error.to_string())?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with the sender; its errors are those of the requests.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_by_a_url() {
        let of = |authority: &str, path: &str, is_encrypted| {
            Ok(Address { authority: authority.to_owned(), path: path.to_owned(), is_encrypted })
        };
        for (url, expected) in [
            ("http://127.0.0.1:8000", of("127.0.0.1:8000", "", false)),
            ("http://gateway/", of("gateway:80", "", false)),
            ("http://[::1]:8000/models/", of("[::1]:8000", "/models", false)),
            ("https://gateway/ml", of("gateway:443", "/ml", true)),
            ("https://gateway:8443", of("gateway:8443", "", true)),
            ("ftp://gateway", Err(AddressError)),
            ("gateway:8000", Err(AddressError)),
            ("http://", Err(AddressError)),
            ("http://a b", Err(AddressError)),
        ] {
            assert_eq!(url.parse::<Address>(), expected, "{url}");
        }
        for (url, expected) in [
            ("http://127.0.0.1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://a", false),
        ] {
            assert_eq!(url.parse::<Address>().unwrap().is_loopback(), expected, "{url}");
        }
    }
}
