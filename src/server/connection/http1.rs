//! HTTP/1.1, with a deadline for headers.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::SystemTime,
};

use axum::http::{HeaderValue, StatusCode, header};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant},
};

use super::{
    Connection, LEAVING_GRACE, head_recorder::HeadRecorder, linger, report_early_end, stopped, unset_clock,
};
use crate::{
    edge::{GuardedBody, rest::TwoLengths},
    server::connection_slot::ConnectionSlot,
    system::date::can_be_written,
    telemetry::ConnectionEnd,
    tls::Encrypted,
};

/// Approximate maximum size of a request's headers.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Maximum number of headers in a request; more is 431.
const MAX_HEADERS: usize = 100;

/// Number of successive requests without a valid token after which a connection is closed.
const MAX_UNAUTHORIZED: u32 = 3;

pub(super) async fn run(
    connection: Connection,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) {
    let Connection {
        front,
        peer,
        is_proxy,
        encrypted,
        slot,
        metrics,
        header_timeout,
        write_timeout,
        shutdown,
        ..
    } = connection;
    if !can_be_written(SystemTime::now()) {
        return unset_clock::refuse(stream, write_timeout).await;
    }
    let (stream, seen) = HeadRecorder::new(stream);
    let used = AtomicBool::new(false);
    let unauthorized = AtomicU32::new(0);
    let service = service_fn(|mut request| {
        used.store(true, Ordering::Relaxed);
        slot.begin();
        if seen.begin(&request) {
            request.extensions_mut().insert(TwoLengths);
        }
        if let Some(encrypted) = &encrypted {
            request.extensions_mut().insert(encrypted.clone());
        }
        let answered = ResponseGuard(Arc::clone(&slot));
        // The current service: a connection may outlive several reloads.
        let answer = front.load_full().respond(request, peer);
        let (shutdown, unauthorized, encrypted) = (&shutdown, &unauthorized, &encrypted);
        Box::pin(async move {
            let mut response = answer.await?;
            // The connection of a proxy carries requests of other clients, too.
            let is_refused = !is_proxy && is_refused_for_good(response.status(), unauthorized);
            let is_outdated = encrypted.as_ref().is_some_and(Encrypted::is_outdated);
            if shutdown.is_announced() || answered.0.is_leaving() || is_refused || is_outdated {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, answered)))
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut stopped = pin!(stopped(&shutdown, || used.load(Ordering::Relaxed)));
    let mut grace = pin!(time::sleep(LEAVING_GRACE));
    let (mut is_ending, mut is_leaving, mut has_grace) = (false, false, false);
    let mut waker = None;
    let ended = loop {
        tokio::select! {
            // Requests first: a fair choice would cost each of them a random number.
            biased;
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = &mut stopped, if !is_ending => {
                is_ending = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            () = poll_fn(|context| slot.poll_leaving(context, &mut waker)), if !is_leaving => {
                (is_leaving, has_grace) = (true, true);
                metrics.connection_closed(ConnectionEnd::GaveWay);
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                grace.as_mut().reset(Instant::now() + LEAVING_GRACE);
            }
            // A request that has just arrived is served; an incomplete head is not waited for.
            () = &mut grace, if has_grace => {
                has_grace = false;
                if !slot.is_busy() {
                    return;
                }
            }
        }
    };
    match ended {
        // A dismissed connection has no unread request.
        Ok(()) if is_leaving => {}
        Ok(()) => linger(connection.into_parts().io.into_inner()).await,
        Err(error) => report_early_end(&error, peer, &metrics, false),
    }
}

/// Returns true if a response with this status is the last on its connection. A client that retries at once, or guesses
/// tokens, must not keep a connection for that.
fn is_refused_for_good(status: StatusCode, unauthorized: &AtomicU32) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::UNAUTHORIZED => unauthorized.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_UNAUTHORIZED,
        _ => {
            unauthorized.store(0, Ordering::Relaxed);
            false
        }
    }
}

/// A guard whose drop marks the end of a response, or of a request whose client has gone.
struct ResponseGuard(Arc<ConnectionSlot>);

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.0.answered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_a_row_end_a_connection() {
        let unauthorized = AtomicU32::new(0);
        let ends = |status| is_refused_for_good(status, &unauthorized);
        assert!(ends(StatusCode::TOO_MANY_REQUESTS));
        assert!(!ends(StatusCode::UNAUTHORIZED) && !ends(StatusCode::UNAUTHORIZED));
        assert!(!ends(StatusCode::OK) && !ends(StatusCode::UNAUTHORIZED) && !ends(StatusCode::UNAUTHORIZED));
        assert!(ends(StatusCode::UNAUTHORIZED));
    }
}
