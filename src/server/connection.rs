//! One connection, in the protocol of its listener, with the deadlines that `axum::serve` does not have.

mod floods;
mod heads;
mod http1;
mod http2;
mod joined;
mod paced;
mod unset_clock;

use std::{error::Error, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::TcpStream,
    time,
};

use super::{live::CurrentFront, seat::Seat, shutdown::Shutdown};
use crate::{telemetry::Metrics, transport::Peer};

/// At the end, how long the first request of a connection that was just opened is waited for.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// The time that a connection that gives way has to say so, and to answer a request that came at the last moment.
const LEAVING_GRACE: Duration = Duration::from_millis(250);

/// How long, and for how many bytes, a client is heard out whose request was answered before it was all there.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, known beforehand: what gRPC is carried by.
    Http2,
}

/// A connection and what it answers.
pub(super) struct Connection {
    pub(super) protocol: Protocol,
    pub(super) front: CurrentFront,
    pub(super) peer: Peer,
    /// Stands for many clients.
    pub(super) is_proxy: bool,
    pub(super) seat: Arc<Seat>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    /// Bytes of an answer that a client takes each second at least, on average; 0 for any.
    pub(super) least_rate: u64,
    pub(super) shutdown: Shutdown,
}

impl Connection {
    /// Answers requests until the client goes away, is too slow, or the gateway stops.
    pub(super) async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection delays small packets");
        }
        match self.protocol {
            Protocol::Http1 => http1::run(self, stream).await,
            Protocol::Http2 => http2::run(self, stream).await,
        }
    }
}

/// Says that nothing more comes, and reads on for a while what a client still sends: closing at once would reset the
/// connection, and the client would lose the answer that says why its body was not wanted.
async fn linger(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = time::timeout(LINGER_TIME, copy(&mut rest, &mut sink())).await;
    }
}

/// Returns true if a connection ended because its client did not take its answers.
fn is_too_slow(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
