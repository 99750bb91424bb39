//! HTTP/1.1, with a deadline for headers.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time};

use super::{Connection, FIRST_REQUEST_GRACE, joined::Joined, linger, with_write_timeout};
use crate::{rest::Front, server::shutdown::Shutdown, transport::Peer};

/// About the greatest size of the headers of a request.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The most headers that a request may have; more is 431.
const MAX_HEADERS: usize = 100;

pub(super) async fn run(connection: Connection, stream: TcpStream) {
    let Connection { front, peer, header_timeout, write_timeout, shutdown, .. } = connection;
    let stream = with_write_timeout(Joined(stream), write_timeout);
    let used = Arc::new(AtomicBool::new(false));
    let (mark, ending) = (Arc::clone(&used), shutdown.clone());
    let service = service_fn(move |request| {
        mark.store(true, Ordering::Relaxed);
        // The one that is current now: a connection may be open for long.
        Box::pin(answer(front.load_full(), request, peer, ending.clone()))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
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

async fn answer(
    front: Arc<Front>,
    request: Request<Incoming>,
    peer: Peer,
    shutdown: Shutdown,
) -> Result<Response<Body>, Infallible> {
    let mut response = front.answer(request, peer).await?;
    if shutdown.is_announced() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
