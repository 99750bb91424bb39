//! HTTP/1.1, with a deadline for headers.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use futures_util::TryFutureExt;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time};

use super::{Connection, FIRST_REQUEST_GRACE, joined::Joined, linger, unset_clock, with_write_timeout};
use crate::{server::shutdown::Shutdown, system::date::can_be_written};

/// About the greatest size of the headers of a request.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The most headers that a request may have; more is 431.
const MAX_HEADERS: usize = 100;

pub(super) async fn run(connection: Connection, stream: TcpStream) {
    let Connection { front, peer, header_timeout, write_timeout, shutdown, .. } = connection;
    if !can_be_written(SystemTime::now()) {
        return unset_clock::refuse(stream, write_timeout).await;
    }
    let stream = with_write_timeout(Joined::new(stream), write_timeout);
    let used = AtomicBool::new(false);
    let service = service_fn(|request| {
        used.store(true, Ordering::Relaxed);
        // The one that is current now: a connection may be open for long.
        Box::pin(front.load_full().answer(request, peer).map_ok(|response| announced(response, &shutdown)))
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

/// The answer, which says so if it is the last one of its connection.
fn announced(mut response: Response<Body>, shutdown: &Shutdown) -> Response<Body> {
    if shutdown.is_announced() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
