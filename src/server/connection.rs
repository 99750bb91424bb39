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
mod proxy_header;
mod unset_clock;

use std::{error::Error, future::poll_fn, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    time,
};

use self::{coalescing_stream::CoalescingStream, paced_stream::PacedStream};
use super::{
    client_stream::ClientStream, connection_slot::ConnectionSlot, current_tls::CurrentTls,
    shutdown::Shutdown, stall_limit::StallLimit,
};
use crate::{
    config::TrustedProxy,
    edge::Peer,
    limits::AddressBuckets,
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
    /// The trusted proxies if the peer is one of them and begins with a header of the PROXY protocol.
    pub(super) proxies: Option<Arc<[TrustedProxy]>>,
    /// The quota of TLS handshakes; `None` without one.
    pub(super) handshakes: Option<Arc<AddressBuckets>>,
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
    pub(super) async fn run(mut self, mut stream: ClientStream) {
        if let Err(error) = stream.set_nodelay() {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        if let Some(proxies) = self.proxies.take()
            && !Box::pin(self.learn_client(&mut stream, &proxies)).await
        {
            return;
        }
        match self.tls.get() {
            None => self.run_plain(stream).await,
            // Boxed, so that connections without TLS do not take the memory of those with it.
            Some(tls) => Box::pin(self.run_encrypted(stream, tls)).await,
        }
    }

    /// Reads the header of the PROXY protocol, and takes the client that it names for the peer. Returns false if the
    /// connection has to be closed.
    async fn learn_client(&mut self, stream: &mut ClientStream, proxies: &[TrustedProxy]) -> bool {
        let read = tokio::select! {
            read = time::timeout(self.header_timeout, proxy_header::read(stream)) => read,
            () = poll_fn(|context| self.slot.poll_leaving(context, &mut None)) => {
                self.metrics.connection_closed(ConnectionEnd::GaveWay);
                return false;
            }
            () = stopped(&self.shutdown, || false) => return false,
        };
        let address = self.peer.address;
        match read {
            Ok(Ok(None)) => return true,
            Ok(Ok(Some(client))) => {
                self.peer = client.into();
                self.is_proxy = self.peer.is_trusted(proxies);
                return true;
            }
            Ok(Err(error)) => tracing::debug!(%address, %error, "closed a connection of a trusted proxy"),
            Err(_) => {
                tracing::debug!(%address, "closed a connection of a trusted proxy: it sent no header in time");
            }
        }
        self.metrics.connection_closed(ConnectionEnd::ProxyHeader);
        false
    }

    /// Charges a handshake to the address. Returns false if it has used up its quota. Trusted proxies have none.
    fn may_shake_hands(&self) -> bool {
        let quota = self.handshakes.as_ref().filter(|_| !self.is_proxy);
        if quota.is_none_or(|quota| quota.charge(self.peer.address.into()).is_ok()) {
            return true;
        }
        self.metrics.connection_closed(ConnectionEnd::HandshakeQuota);
        tracing::debug!(address = %self.peer.address, "closed a connection: rate_limit.handshakes is used up");
        false
    }

    async fn run_plain(self, stream: ClientStream) {
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
    async fn run_encrypted(mut self, stream: ClientStream, tls: Arc<ServerTls>) {
        if !self.may_shake_hands() {
            return;
        }
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
    tracing::debug!(%error, address = %peer.address, "a connection ended early");
}

/// Returns true if a connection ended because its client did not read its responses.
fn is_too_slow(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
