//! `onnx-gateway health`

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};

use super::{Failure, output, prepare};
use crate::config::Environment;

/// A gateway that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks `/health/ready` at `server.listen`.
pub(super) fn health(files: &[PathBuf]) -> Result<(), Failure> {
    let loaded = prepare::settings(files, &Environment::of_process())?;
    let address = reachable(loaded.settings.server.listen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime
        .block_on(async { time::timeout(TIMEOUT, ask(address)).await })
        .map_err(|_| format!("{address} did not answer within {} s", TIMEOUT.as_secs()))?
        .map_err(|error| format!("{address} cannot be asked: {error}"))?;
    match status {
        StatusCode::OK => Ok(output::print("ready\n")?),
        other => Err(format!("{address} is not ready: it answered {other}").into()),
    }
}

/// The address by which a listener can be reached from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

async fn ask(address: SocketAddr) -> Result<StatusCode, Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get("/health/ready").header(header::HOST, address.to_string()).body(Body::empty())?;
    let asked = async move { sender.send_request(request).await };
    let (answer, _connection) = tokio::join!(asked, connection);
    Ok(answer?.status())
}
