//! The TLS handshake of a connection, which has its slot already and must finish within the time limit of headers.

use std::{future::poll_fn, io, sync::Arc};

use tokio::{
    io::AsyncWriteExt,
    time::{self, Instant},
};

use super::{Connection, linger, paced_stream::PacedStream, stopped};
use crate::{
    server::client_stream::ClientStream,
    telemetry::ConnectionEnd,
    tls::{Accepted, FailedHandshake, HandshakeFailure, ServerTls},
};

/// Body of the response to clients that speak HTTP without TLS.
const BODY: &str = r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"tls_required","detail":"this address speaks TLS: use https"}"#;

/// Shakes hands with the client. `None` if that fails, or if the connection has to leave.
pub(super) async fn accept(
    connection: &Connection,
    stream: ClientStream,
    tls: Arc<ServerTls>,
) -> Option<Accepted<PacedStream<ClientStream>>> {
    let Connection { slot, header_timeout, shutdown, metrics, .. } = connection;
    let deadline = Instant::now() + *header_timeout;
    let failed = tokio::select! {
        finished = time::timeout_at(deadline, shake_hands(connection, stream, tls)) => match finished {
            Ok(Ok(accepted)) => return Some(accepted),
            Ok(Err(failed)) => failed,
            Err(_) => {
                let cause = io::ErrorKind::TimedOut.into();
                FailedHandshake { kind: HandshakeFailure::TimedOut, cause, stream: None }
            }
        },
        () = poll_fn(|context| slot.poll_leaving(context, &mut None)) => {
            metrics.connection_closed(ConnectionEnd::GaveWay);
            return None;
        }
        () = stopped(shutdown, || false) => return None,
    };
    let FailedHandshake { kind, cause, stream } = failed;
    metrics.handshake_failed(kind.label());
    let (address, reason) = (connection.peer.address, kind.label());
    tracing::debug!(%address, reason, error = %cause, "a TLS handshake failed");
    // Closing at once would reset the connection, and the client would not learn the reason.
    if let Some(stream) = stream.filter(|_| kind != HandshakeFailure::Left) {
        linger(stream).await;
    }
    None
}

async fn shake_hands(
    connection: &Connection,
    stream: ClientStream,
    tls: Arc<ServerTls>,
) -> Result<Accepted<PacedStream<ClientStream>>, FailedHandshake<PacedStream<ClientStream>>> {
    let is_plain = is_plain_http(&stream).await;
    let mut stream = connection.paced(stream);
    match is_plain {
        // The settings may have changed before the first byte arrived. If TLS is off since, the client still expects it.
        Ok(false) => connection.tls.get().unwrap_or(tls).accept(stream).await,
        Ok(true) => {
            let length = BODY.len();
            let head = format!(
                "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncache-control: no-store\r\n\
                 content-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n"
            );
            // A client that does not read it is closed all the same.
            let _ = stream.write_all(format!("{head}{BODY}").as_bytes()).await;
            let cause = io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP without TLS");
            Err(FailedHandshake { kind: HandshakeFailure::PlainHttp, cause, stream: Some(stream) })
        }
        Err(cause) => Err(FailedHandshake { kind: HandshakeFailure::Left, cause, stream: Some(stream) }),
    }
}

/// Returns true if the first byte is that of a method of HTTP: a handshake begins with byte 22 (RFC 8446 section 5.1).
async fn is_plain_http(stream: &ClientStream) -> io::Result<bool> {
    let first = stream.peek().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(first.is_ascii_uppercase())
}
