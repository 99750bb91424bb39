//! A connection to a gateway that is kept open between requests.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1::SendRequest, header};
use tokio::{runtime::Runtime, time};

use crate::{
    outbound::{Address, open},
    tls::ClientTls,
};

/// Time limit of one request, with its connection.
const TIMEOUT: Duration = Duration::from_mins(5);

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
        sent.map_err(|error| format!("the request to {} failed: {error}", self.address.authority()))
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
        *sender = Some(open(address, tls).await.map_err(|error| error.to_string())?);
    }
    let open = sender.as_mut().ok_or("there is no connection")?;
    open.ready().await.map_err(|error| error.to_string())?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let uri = format!("{}{path}", address.path());
    let mut request = Request::builder().method(method).uri(uri).header(header::HOST, address.authority());
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
