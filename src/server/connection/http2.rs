//! HTTP/2 without TLS, as gRPC speaks it: many requests at a time over one connection, within bounds.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{self, MissedTickBehavior},
};
use tower::ServiceExt;

use super::{Connection, FIRST_REQUEST_GRACE, linger, with_write_timeout};
use crate::{
    server::answers::Answers,
    system::date::can_be_written,
    transport::{Ending, Peer},
};

/// Requests at a time on one connection: a client that has more waits, or opens another.
const MAX_STREAMS: u32 = 100;

/// The greatest size of the headers of a request.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// A connection that is quiet for so long is asked whether there is still somebody, who has to say so in time.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection without a request for so long is closed. Clients keep theirs for hours, and open another when they are
/// told that this one ends, so that costs nobody a request.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// How often a connection is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What every client says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// While the preface is cut short, how long until there may be more of it.
const PREFACE_RETRY: Duration = Duration::from_millis(10);

/// For whoever comes with HTTP/1.1 instead.
const WRONG_PROTOCOL: &str =
    "HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(super) async fn run(connection: Connection, mut stream: TcpStream) {
    let Connection { front, peer, header_timeout, write_timeout, shutdown, .. } = connection;
    let stopped = async {
        shutdown.stopped().await;
        // As for HTTP/1.1: the first request may be on the way.
        time::sleep(FIRST_REQUEST_GRACE).await;
    };
    let greeted = tokio::select! {
        greeted = time::timeout(header_timeout, speaks_http2(&stream)) => greeted,
        () = stopped => return,
    };
    match greeted {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            let _ = time::timeout(write_timeout, stream.write_all(WRONG_PROTOCOL.as_bytes())).await;
            return linger(stream).await;
        }
        Ok(Err(_)) | Err(_) => return tracing::debug!(address = %peer.0, "a connection never began"),
    }

    let answers = Arc::new(Answers::default());
    let (given, ending) = (Arc::clone(&answers), shutdown.ending());
    let service = service_fn(move |request| {
        let router = front.load().router().clone();
        answer(router, request, peer, ending.clone(), Arc::clone(&given))
    });
    let io = TokioIo::new(with_write_timeout(stream, write_timeout));
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // RFC 9110 section 6.6.1: who has no clock that is right sends no date.
            .auto_date_header(can_be_written(SystemTime::now()))
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .serve_connection(io, service)
    );
    let mut stopped = pin!(async {
        shutdown.stopped().await;
        if !answers.were_asked_for() {
            time::sleep(FIRST_REQUEST_GRACE).await;
        }
    });
    let mut look = time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ending = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, address = %peer.0, "a connection ended early");
                }
                return;
            }
            // Requests that are under way are answered; new ones go to another connection.
            () = &mut stopped, if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                if answers.are_not_taken(write_timeout) {
                    return tracing::debug!(address = %peer.0, "a connection was closed: its answers are not taken");
                }
                if !is_ending && answers.are_not_asked_for(IDLE_TIMEOUT) {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Whether a client begins as one of HTTP/2 does; what it sends stays to be read.
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

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: Peer,
    ending: Ending,
    answers: Arc<Answers>,
) -> Result<Response<Body>, Infallible> {
    let place = answers.begin();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(ending);
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Body::new(place.holding(body))))
}
