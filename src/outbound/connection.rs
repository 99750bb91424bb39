//! Connections of HTTP/1.1 to a server.

use std::io;

use http_body::Body;
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::Address;
use crate::tls::{self, ClientTls};

/// Most headers of a response, and the bytes of the largest head.
const MAX_HEADERS: usize = 100;
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Opens a connection, with TLS if there is any. It ends once the sender is dropped.
///
/// # Errors
///
/// If the server cannot be reached, or is not accepted.
pub async fn open<B>(address: &Address, tls: Option<&ClientTls>) -> io::Result<SendRequest<B>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = tls::connect(tls, address.authority()).await?;
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Errors of the connection are those of its requests.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
