//! One connection: HTTP/1.1 with a deadline for headers, which `axum::serve` does not have.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time};
use tower::ServiceExt;

use super::shutdown::Shutdown;
use crate::rest::Peer;

/// About the greatest size of the headers of a request.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The most headers that a request may have; more is 431.
const MAX_HEADERS: usize = 100;

/// At the end, how long the first request of a connection that was just opened is waited for.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// A connection and what it answers.
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) peer: Peer,
    pub(super) header_timeout: Duration,
    pub(super) shutdown: Shutdown,
}

impl Connection {
    /// Answers requests until the client goes away, is too slow, or the gateway stops.
    pub(super) async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection delays small packets");
        }
        let Self { router, peer, header_timeout, shutdown } = self;
        let used = Arc::new(AtomicBool::new(false));
        let (mark, ending) = (Arc::clone(&used), shutdown.clone());
        let service = service_fn(move |request| {
            mark.store(true, Ordering::Relaxed);
            answer(router.clone(), request, peer, ending.clone())
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let stopped = async {
            shutdown.stopped().await;
            // A connection without a request yet would be closed at once, though its first one may be on the way.
            if !used.load(Ordering::Relaxed) {
                time::sleep(FIRST_REQUEST_GRACE).await;
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped => {
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
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let mut response = router.oneshot(request).await?;
    if shutdown.is_announced() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
