//! HTTP/2 without TLS, as gRPC uses it: concurrent requests over one connection, within limits.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    http::{Request, Response},
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    Connection, LEAVING_GRACE, flood_guard::FloodGuard, linger, paced_stream::PacedStream, report_early_end,
    stopped,
};
use crate::{
    edge::{Ending, OpenEndedResponse, Peer},
    protocols::HttpService,
    server::{response_tracker::ResponseTracker, stall_limit::StallLimit},
    system::date::can_be_written,
    telemetry::ConnectionEnd,
};

/// Most concurrent requests on one connection: a client with more waits, or opens another.
const MAX_STREAMS: u32 = 100;

/// Maximum size of a request's headers.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// Time without traffic after which a connection is pinged, and time limit of the reply.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time without a request after which a connection is closed. Clients keep theirs for hours, and open another when they
/// are told of the end, so no request is lost.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// Interval at which a connection is checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Receive window of a connection, for all its requests together: bytes that a client may send before they are read. It
/// is replenished as handlers read, so a large request is as fast as its handler.
const WINDOW_BYTES: u32 = 64 * 1024;

/// Receive window of a trusted proxy, whose connection carries the calls of many clients: an unread call must not block
/// the others.
const PROXY_WINDOW_BYTES: u32 = 1024 * 1024;

/// Number of successive refusals, for want of a valid token or for too many requests, after which a connection is
/// closed. The first ones may have been sent at once.
const MAX_REFUSED: u32 = 8;

/// Time that a connection closed after refusals has for its earlier requests.
const REFUSED_GRACE: Duration = Duration::from_secs(5);

/// The preface of every client (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Pause before an incomplete preface is read again.
const PREFACE_RETRY: Duration = Duration::from_millis(10);

/// Response to clients that use HTTP/1.1 instead.
const WRONG_PROTOCOL: &str =
    "HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(super) async fn run(connection: Connection, mut stream: TcpStream) {
    if !begins(&connection, &mut stream).await {
        return;
    }
    let Connection { front, peer, is_proxy, slot, metrics, write_timeout, least_rate, shutdown, .. } =
        connection;
    let stall = StallLimit::new(write_timeout, least_rate);
    let responses = Arc::new(ResponseTracker::new(Arc::clone(&slot), stall));
    let (given, ending) = (Arc::clone(&responses), shutdown.ending());
    let service = service_fn(move |request| {
        respond(front.load_full(), request, peer, ending.clone(), Arc::clone(&given))
    });
    let (stream, was_flooded) = FloodGuard::new(PacedStream::new(stream, stall, Arc::clone(&slot)));
    let io = TokioIo::new(stream);
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // RFC 9110 section 6.6.1: a server without a valid clock sends no date.
            .auto_date_header(can_be_written(SystemTime::now()))
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(if is_proxy { PROXY_WINDOW_BYTES } else { WINDOW_BYTES })
            .serve_connection(io, service)
    );
    let mut stopped = pin!(stopped(&shutdown, || responses.saw_request()));
    let mut look = time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut grace = pin!(time::sleep(LEAVING_GRACE));
    let (mut is_ending, mut is_leaving, mut is_refused, mut has_grace) = (false, false, false, false);
    let mut waker = None;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    report_early_end(&error, peer, &metrics, was_flooded.load(Ordering::Relaxed));
                }
                return;
            }
            () = poll_fn(|context| slot.poll_leaving(context, &mut waker)), if !is_leaving => {
                (is_ending, is_leaving, has_grace) = (true, true, true);
                metrics.connection_closed(ConnectionEnd::GaveWay);
                connection.as_mut().graceful_shutdown();
                grace.as_mut().reset(Instant::now() + LEAVING_GRACE);
            }
            // A request that has just arrived is served.
            () = &mut grace, if has_grace => {
                has_grace = false;
                if is_refused || !slot.is_busy() {
                    return;
                }
            }
            // Requests in progress are served; new ones go to another connection.
            () = &mut stopped, if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                if responses.is_stalled() {
                    metrics.connection_closed(ConnectionEnd::SlowReader);
                    return tracing::debug!(address = %peer.0, "closed a connection: the client does not read its \
                        responses");
                }
                if !is_ending && !is_proxy && responses.refused() >= MAX_REFUSED {
                    (is_ending, is_refused, has_grace) = (true, true, true);
                    connection.as_mut().graceful_shutdown();
                    grace.as_mut().reset(Instant::now() + REFUSED_GRACE);
                }
                if !is_ending && responses.are_not_asked_for(IDLE_TIMEOUT) {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Waits for the preface. Returns true if the connection is HTTP/2 and should be served.
async fn begins(connection: &Connection, stream: &mut TcpStream) -> bool {
    let Connection { peer, slot, header_timeout, write_timeout, shutdown, .. } = connection;
    let greeted = tokio::select! {
        greeted = time::timeout(*header_timeout, speaks_http2(stream)) => greeted,
        () = poll_fn(|context| slot.poll_leaving(context, &mut None)) => return false,
        () = stopped(shutdown, || false) => return false,
    };
    match greeted {
        Ok(Ok(true)) => return true,
        Ok(Ok(false)) => {
            let _ = time::timeout(*write_timeout, stream.write_all(WRONG_PROTOCOL.as_bytes())).await;
            linger(stream).await;
        }
        Ok(Err(_)) | Err(_) => {
            tracing::debug!(address = %peer.0, "closed a connection: it sent no HTTP/2 preface in time");
        }
    }
    false
}

/// Returns true if a client begins with the HTTP/2 preface, which stays unread.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut received = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut received).await?;
        match received.get(..count) {
            Some(PREFACE) => return Ok(true),
            Some(part) if count > 0 && PREFACE.starts_with(part) => time::sleep(PREFACE_RETRY).await,
            _ if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Ok(false),
        }
    }
}

async fn respond(
    service: Arc<HttpService>,
    request: Request<Incoming>,
    peer: Peer,
    ending: Ending,
    answers: Arc<ResponseTracker>,
) -> Result<Response<Body>, Infallible> {
    let mut place = answers.begin();
    let response = service.respond_to_call(request, peer, ending).await?;
    place.answered(is_refused(&response));
    if response.extensions().get::<OpenEndedResponse>().is_some() {
        place.only_waits();
    }
    Ok(response.map(|body| Body::new(place.holding(body))))
}

/// Returns true if a request was refused for want of a valid token or for too many requests.
fn is_refused(response: &Response<Body>) -> bool {
    /// `UNAUTHENTICATED` and `RESOURCE_EXHAUSTED` in the form of the `grpc-status` header.
    const REFUSED: [&[u8]; 2] = [b"16", b"8"];
    response.headers().get("grpc-status").is_some_and(|status| REFUSED.contains(&status.as_bytes()))
}
