//! A connection in the protocol of its listener, with the deadlines that `axum::serve` lacks.

mod coalescing_stream;
mod delegate;
mod flood_guard;
mod handshake;
mod head_recorder;
mod http1;
mod http2;
mod paced_stream;
mod prefixed_stream;
mod unset_clock;

use std::{error::Error, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::TcpStream,
    time,
};

use self::{coalescing_stream::CoalescingStream, paced_stream::PacedStream};
use super::{
    connection_slot::ConnectionSlot, current_tls::CurrentTls, shutdown::Shutdown, stall_limit::StallLimit,
};
use crate::{
    edge::Peer,
    protocols::SharedService,
    telemetry::{ConnectionEnd, Metrics},
    tls::{Accepted, Encrypted, ServerTls},
};

/// At shutdown, time that a newly opened connection has for its first request.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// Time that a dismissed connection has to announce its end, and to respond to a request that has just arrived.
const LEAVING_GRACE: Duration = Duration::from_millis(250);

/// Limits of reading the rest of a request whose response was sent before all of it had arrived.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// The application behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Application {
    /// REST: HTTP/1.1, or with TLS HTTP/2 if the client chooses it.
    Rest,
    /// gRPC: HTTP/2, without TLS with prior knowledge.
    Grpc,
}

/// A connection and the service behind it.
pub(super) struct Connection {
    pub(super) application: Application,
    pub(super) front: SharedService,
    pub(super) peer: Peer,
    /// True if the peer is a trusted proxy, which stands for many clients.
    pub(super) is_proxy: bool,
    /// TLS of the listener.
    pub(super) tls: Arc<CurrentTls>,
    /// The mark of requests over TLS; `None` before the handshake, and without TLS.
    pub(super) encrypted: Option<Encrypted>,
    pub(super) slot: Arc<ConnectionSlot>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    /// Lowest average rate in bytes per second at which a client may read a response; 0 for any.
    pub(super) least_rate: u64,
    pub(super) shutdown: Shutdown,
}

impl Connection {
    /// Serves requests until the client leaves, is too slow, or the gateway stops.
    pub(super) async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        match self.tls.get() {
            None => self.run_plain(stream).await,
            // Boxed, so that connections without TLS do not take the memory of those with it.
            Some(tls) => Box::pin(self.run_encrypted(stream, tls)).await,
        }
    }

    async fn run_plain(self, stream: TcpStream) {
        match self.application {
            Application::Rest => {
                let stream = self.paced(CoalescingStream::new(stream));
                http1::run(self, stream).await;
            }
            Application::Grpc => {
                let stream = self.paced(stream);
                http2::run(self, stream).await;
            }
        }
    }

    /// Serves requests after a TLS handshake. TLS joins small pieces itself, as it makes one record of them.
    async fn run_encrypted(mut self, stream: TcpStream, tls: Arc<ServerTls>) {
        let Some(accepted) = handshake::accept(&self, stream, tls).await else { return };
        let Accepted { stream, is_http2, encrypted } = accepted;
        self.encrypted = Some(encrypted);
        match self.application {
            Application::Rest if !is_http2 => http1::run(self, stream).await,
            Application::Rest | Application::Grpc => http2::run(self, stream).await,
        }
    }

    /// Returns the stream with the time limits for what its client does not read. With TLS it is below it: what TLS has
    /// taken is not sent yet.
    fn paced<S>(&self, stream: S) -> PacedStream<S> {
        let stall = StallLimit::new(self.write_timeout, self.least_rate);
        PacedStream::new(stream, stall, Arc::clone(&self.slot))
    }
}

/// Ends the sending side, and reads the rest of the request for a while. Closing at once would reset the connection,
/// and the client would lose the response that explains the refusal.
async fn linger(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = time::timeout(LINGER_TIME, copy(&mut rest, &mut sink())).await;
    }
}

/// Waits for the end of the gateway. A connection without a request waits a little longer: it would be closed at once,
/// though its first request may be on the way.
async fn stopped(shutdown: &Shutdown, saw_request: impl Fn() -> bool) {
    shutdown.stopped().await;
    if !saw_request() {
        time::sleep(FIRST_REQUEST_GRACE).await;
    }
}

/// Reports the error that ended a connection, and counts the client's fault if there is one. Clients that leave or are
/// slow are normal.
fn report_early_end(error: &hyper::Error, peer: Peer, metrics: &Metrics, was_flooded: bool) {
    if was_flooded {
        metrics.connection_closed(ConnectionEnd::FrameFlood);
    } else if is_too_slow(error) {
        metrics.connection_closed(ConnectionEnd::SlowReader);
    }
    tracing::debug!(%error, address = %peer.0, "a connection ended early");
}

/// Returns true if a connection ended because its client did not read its responses.
fn is_too_slow(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
