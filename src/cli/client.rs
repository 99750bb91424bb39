//! A small HTTP client for a running gateway on this machine.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};

use super::Failure;

/// Returns the address by which a listener can be reached from the same machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// Sends a request without a body to HOST:PORT, with a token if there is one, and returns the status and body of the
/// response. Each address of the host is tried.
pub(super) fn ask(
    address: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    timeout: Duration,
) -> Result<(StatusCode, String), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = exchange(address, method, path, token, None);
    let asked = runtime.block_on(async { time::timeout(timeout, sent).await });
    asked
        .map_err(|_| format!("{address} did not respond within {} s", timeout.as_secs()))?
        .map_err(|error| format!("the request to {address} failed: {error}").into())
}

/// Sends a request to HOST:PORT, with a token and a JSON body if there are any, and returns the status and body of the response.
pub(super) async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    json: Option<String>,
) -> Result<(StatusCode, String), Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, address);
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
