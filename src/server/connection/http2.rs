//! HTTP/2: concurrent requests over one connection, within limits. gRPC uses it, and with TLS also clients of REST that
//! choose it.

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
    http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header},
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    Application, Connection, LEAVING_GRACE, flood_guard::FloodGuard, linger, prefixed_stream::PrefixedStream,
    report_early_end, stopped,
};
use crate::{
    edge::{Ending, OpenEndedResponse, Peer},
    protocols::SharedService,
    server::{response_tracker::ResponseTracker, stall_limit::StallLimit},
    system::date::can_be_written,
    telemetry::ConnectionEnd,
    tls::Encrypted,
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

/// Receive window of a call, and of a connection with all its calls together: bytes that a client may send before they
/// are read. It is replenished as handlers read, so a large request is as fast as its handler.
const WINDOW_BYTES: u32 = 64 * 1024;

/// Receive window of a connection with calls of many clients of a trusted proxy, of which an unread one must not block
/// the others, or with uploads of REST.
const LARGE_WINDOW_BYTES: u32 = 1024 * 1024;

/// Receive window of a request of REST. Each round trip moves one window, and uploads may come from far away.
const UPLOAD_WINDOW_BYTES: u32 = 512 * 1024;

/// Number of successive refusals, for want of a valid token or for too many requests, after which a connection is
/// closed. The first ones may have been sent at once.
const MAX_REFUSED: u32 = 8;

/// Time that a connection closed after refusals has for its earlier requests.
const REFUSED_GRACE: Duration = Duration::from_secs(5);

/// The preface of every client (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Response to clients that use HTTP/1.1 instead.
const WRONG_PROTOCOL: &str =
    "HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(super) async fn run(
    connection: Connection,
    mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) {
    if !begins(&connection, &mut stream).await {
        return;
    }
    let Connection { application, front, peer, is_proxy, encrypted, slot, metrics, shutdown, .. } =
        connection;
    let stall = StallLimit::new(connection.write_timeout, connection.least_rate);
    let responses = Arc::new(ResponseTracker::new(Arc::clone(&slot), stall));
    let certified = encrypted.clone();
    let requests = Arc::new(Requests {
        application,
        front,
        peer,
        encrypted,
        ending: shutdown.ending(),
        responses: Arc::clone(&responses),
    });
    let service = service_fn(move |request| Arc::clone(&requests).respond(request));
    let (stream, was_flooded) = FloodGuard::new(PrefixedStream::new(PREFACE, stream));
    let io = TokioIo::new(stream);
    let (of_request, of_connection) = windows(application, is_proxy);
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // RFC 9110 section 6.6.1: a server without a valid clock sends no date.
            .auto_date_header(can_be_written(SystemTime::now()))
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(of_request)
            .initial_connection_window_size(of_connection)
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
                    return tracing::debug!(address = %peer.address, "closed a connection: the client does not read its \
                        responses");
                }
                if !is_ending && !is_proxy && responses.refused() >= MAX_REFUSED {
                    (is_ending, is_refused, has_grace) = (true, true, true);
                    connection.as_mut().graceful_shutdown();
                    grace.as_mut().reset(Instant::now() + REFUSED_GRACE);
                }
                // The client may show its certificate again on another connection.
                let is_outdated = || certified.as_ref().is_some_and(Encrypted::is_outdated);
                let has_to_return = || responses.refused() > 0 && is_outdated();
                if !is_ending && (responses.are_not_asked_for(IDLE_TIMEOUT) || has_to_return()) {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Returns the receive windows of one request and of the connection, in bytes.
fn windows(application: Application, is_proxy: bool) -> (u32, u32) {
    match (application, is_proxy) {
        (Application::Rest, false) => (UPLOAD_WINDOW_BYTES, LARGE_WINDOW_BYTES),
        (Application::Rest | Application::Grpc, true) => (WINDOW_BYTES, LARGE_WINDOW_BYTES),
        (Application::Grpc, false) => (WINDOW_BYTES, WINDOW_BYTES),
    }
}

/// Waits for the preface. Returns true if the connection is HTTP/2 and should be served.
async fn begins(connection: &Connection, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
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
            tracing::debug!(address = %peer.address, "closed a connection: it sent no HTTP/2 preface in time");
        }
    }
    false
}

/// Reads the HTTP/2 preface. Returns false at the first byte that is not part of it.
async fn speaks_http2(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
    let mut received = Vec::with_capacity(PREFACE.len());
    while received.len() < PREFACE.len() {
        let mut rest = (&mut *stream).take((PREFACE.len() - received.len()) as u64);
        if rest.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&received) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The requests of a connection, and what they need of it.
struct Requests {
    application: Application,
    front: SharedService,
    peer: Peer,
    encrypted: Option<Encrypted>,
    ending: Ending,
    responses: Arc<ResponseTracker>,
}

impl Requests {
    async fn respond(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let mut place = Arc::clone(&self.responses).begin();
        if let Some(encrypted) = &self.encrypted {
            request.extensions_mut().insert(encrypted.clone());
        }
        // The current service: a connection may outlive several reloads.
        let service = self.front.load_full();
        let response = match self.application {
            Application::Grpc => service.respond_to_call(request, self.peer, self.ending.clone()).await?,
            // Boxed, so that calls do not take the memory of its future.
            Application::Rest => {
                let mut response = Box::pin(service.respond(as_http1(request), self.peer)).await?;
                // RFC 9113 section 8.2.2: a connection with several requests is not closed by one of them.
                response.headers_mut().remove(header::CONNECTION);
                response
            }
        };
        place.answered(is_refused(&response));
        if response.extensions().get::<OpenEndedResponse>().is_some() {
            place.only_waits();
        }
        Ok(response.map(|body| Body::new(place.holding(body))))
    }
}

/// Returns the request as HTTP/1.1 has it, which is the only form that the layers of REST know: the authority in `Host`
/// and not in the URI (RFC 9113 section 8.3.1). If both are there and differ, there are two hosts, which the layers refuse.
fn as_http1<B>(mut request: Request<B>) -> Request<B> {
    *request.version_mut() = Version::HTTP_11;
    let uri = std::mem::take(request.uri_mut()).into_parts();
    let authority = uri.authority.and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    if let Some(authority) = authority
        && request.headers().get(header::HOST) != Some(&authority)
    {
        request.headers_mut().append(header::HOST, authority);
    }
    *request.uri_mut() = uri.path_and_query.map(Uri::from).unwrap_or_default();
    request
}

/// Returns true if a request was refused for want of a valid token or for too many requests.
fn is_refused(response: &Response<Body>) -> bool {
    /// `UNAUTHENTICATED` and `RESOURCE_EXHAUSTED` in the form of the `grpc-status` header.
    const REFUSED: [&[u8]; 2] = [b"16", b"8"];
    matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS)
        || response.headers().get("grpc-status").is_some_and(|status| REFUSED.contains(&status.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_http2_becomes_one_of_http1() {
        let request = |host: Option<&str>| {
            let request = Request::get("https://gateway:8000/models/iris?a=b").version(Version::HTTP_2);
            let request = host.into_iter().fold(request, |request, host| request.header(header::HOST, host));
            as_http1(request.body(()).unwrap())
        };
        for host in [None, Some("gateway:8000")] {
            let request = request(host);
            assert_eq!(
                (request.uri().to_string(), request.version()),
                ("/models/iris?a=b".to_owned(), Version::HTTP_11)
            );
            let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
            assert_eq!(hosts, ["gateway:8000"]);
        }
        assert_eq!(request(Some("another")).headers().get_all(header::HOST).iter().count(), 2);
    }

    #[tokio::test]
    async fn the_preface_is_known_in_pieces() {
        for (sent, is_known) in [(PREFACE, Some(true)), (b"PRI * HTTP/1.1", Some(false)), (b"PRI * ", None)] {
            let mut pieces = in_pieces(sent);
            assert_eq!(speaks_http2(&mut pieces).await.ok(), is_known, "{sent:?}");
        }
    }

    /// A stream that has one byte at a time, and then ends.
    fn in_pieces(bytes: &'static [u8]) -> impl AsyncRead + Unpin {
        let (near, mut far) = tokio::io::duplex(1);
        tokio::spawn(async move { far.write_all(bytes).await });
        near
    }
}
