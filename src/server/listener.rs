//! The accept loop: HTTP/1.1 with a deadline for headers, which `axum::serve` does not have.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use prometheus::IntGauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time,
};
use tower::ServiceExt;

use super::{connections::Connections, shutdown::Shutdown};
use crate::{config::ServerSettings, rest::Peer};

/// About the greatest size of the headers of a request.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The most headers that a request may have; more is 431.
const MAX_HEADERS: usize = 100;

/// As many connections as tokio lets wait in the system's queue.
const BACKLOG: usize = 1024;

/// When the system gives no connection (out of file descriptors), trying again at once would only take a CPU.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What connections are held to.
#[derive(Clone, Debug)]
pub(super) struct ListenerLimits {
    max_connections: usize,
    max_connections_per_address: usize,
    uncounted: Arc<[IpNet]>,
    header_timeout: Duration,
}

impl ListenerLimits {
    pub(super) fn of(settings: &ServerSettings) -> Self {
        Self {
            max_connections: settings.max_connections,
            max_connections_per_address: settings.max_connections_per_address,
            uncounted: settings.trusted_proxies.clone().into(),
            header_timeout: Duration::from_millis(settings.header_timeout_ms),
        }
    }
}

/// A bound listener with what it answers.
pub(super) struct Listener {
    socket: TcpListener,
    router: Router,
    limits: ListenerLimits,
    slots: Arc<Semaphore>,
    by_address: Connections,
    gauge: IntGauge,
    shutdown: Shutdown,
}

impl Listener {
    pub(super) fn new(
        listener: TcpListener,
        router: Router,
        limits: ListenerLimits,
        gauge: IntGauge,
        shutdown: &Shutdown,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let by_address = Connections::default();
        Self { socket: listener, router, limits, slots, by_address, gauge, shutdown: shutdown.clone() }
    }

    /// Accepts until told to stop, then waits for the connections to finish. Dropping the future cuts them off.
    pub(super) async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept() => self.spawn(accepted, &mut connections),
                Some(_) = connections.join_next() => {}
                () = self.shutdown.stopped() => break,
            }
        }
        // Whoever is in the system's queue by now was let in, and may have sent a request.
        for _ in 0..BACKLOG {
            tokio::select! {
                biased;
                accepted = self.accept() => self.spawn(accepted, &mut connections),
                () = std::future::ready(()) => break,
            }
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }

    /// The next connection, once there is room for it: until then it waits in the system's queue.
    async fn accept(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return std::future::pending().await;
            };
            match self.socket.accept().await {
                Ok((stream, peer)) => return (stream, peer, slot),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn spawn(
        &self,
        (stream, peer, slot): (TcpStream, SocketAddr, OwnedSemaphorePermit),
        connections: &mut JoinSet<()>,
    ) {
        let address = peer.ip().to_canonical();
        let uncounted = self.limits.uncounted.iter().any(|network| network.contains(&address));
        let limit = if uncounted { usize::MAX } else { self.limits.max_connections_per_address };
        let Some(counted) = self.by_address.add(address, limit) else {
            return tracing::debug!(%address, "a connection was closed: its address has too many");
        };
        let connection = Connection {
            router: self.router.clone(),
            peer: Peer(address),
            header_timeout: self.limits.header_timeout,
            shutdown: self.shutdown.clone(),
        };
        let gauge = self.gauge.clone();
        connections.spawn(async move {
            gauge.inc();
            connection.run(stream).await;
            gauge.dec();
            drop((slot, counted));
        });
    }
}

struct Connection {
    router: Router,
    peer: Peer,
    header_timeout: Duration,
    shutdown: Shutdown,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection delays small packets");
        }
        let Self { router, peer, header_timeout, shutdown } = self;
        let answers = shutdown.clone();
        let service = service_fn(move |request| answer(router.clone(), request, peer, answers.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.stopped() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // Clients that go away or are slow are everyday matters.
        if let Err(error) = ended {
            tracing::debug!(%error, address = %peer.0, "a connection ended early");
        }
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: Peer,
    shutdown: Shutdown,
) -> Result<Response<Body>, std::convert::Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let mut response = router.oneshot(request).await?;
    if shutdown.is_announced() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
