//! One connection: HTTP/1.1 with a deadline for headers, which `axum::serve` does not have.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::TcpStream,
    time,
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use super::{live::CurrentRouter, shutdown::Shutdown};
use crate::transport::Peer;

/// About the greatest size of the headers of a request.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The most headers that a request may have; more is 431.
const MAX_HEADERS: usize = 100;

/// At the end, how long the first request of a connection that was just opened is waited for.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// How long, and for how many bytes, a client is heard out whose request was answered before it was all there.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// A connection and what it answers.
pub(super) struct Connection {
    pub(super) router: CurrentRouter,
    pub(super) peer: Peer,
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) shutdown: Shutdown,
}

impl Connection {
    /// Answers requests until the client goes away, is too slow, or the gateway stops.
    pub(super) async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection delays small packets");
        }
        let Self { router, peer, header_timeout, write_timeout, shutdown } = self;
        // A client that asks and does not read must not have its answers kept for ever.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
        let used = Arc::new(AtomicBool::new(false));
        let (mark, ending) = (Arc::clone(&used), shutdown.clone());
        let service = service_fn(move |request| {
            mark.store(true, Ordering::Relaxed);
            // The one that is current now: a connection may be open for long.
            Box::pin(answer(Router::clone(&router.load()), request, peer, ending.clone()))
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let stopped = async {
            shutdown.stopped().await;
            // A connection without a request yet would be closed at once, though its first one may be on the way.
            if !used.load(Ordering::Relaxed) {
                time::sleep(FIRST_REQUEST_GRACE).await;
            }
        };
        let ended = tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
            () = stopped => {
                Pin::new(&mut connection).graceful_shutdown();
                poll_fn(|context| connection.poll_without_shutdown(context)).await
            }
        };
        match ended {
            Ok(()) => linger(connection.into_parts().io.into_inner()).await,
            // Clients that go away or are slow are everyday matters.
            Err(error) => tracing::debug!(%error, address = %peer.0, "a connection ended early"),
        }
    }
}

/// Says that nothing more comes, and reads on for a while what a client still sends: closing at once would reset the
/// connection, and the client would lose the answer that says why its body was not wanted.
async fn linger(mut stream: Pin<Box<TimeoutStream<TcpStream>>>) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = time::timeout(LINGER_TIME, copy(&mut rest, &mut sink())).await;
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
