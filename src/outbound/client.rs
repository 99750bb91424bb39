//! A client that sends many requests to few servers, over connections that it keeps for a moment.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http_body::{Body, Frame, SizeHint};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::SendRequest,
    header::{self, HeaderValue},
};
use tokio::time::{Sleep, sleep, timeout};

use super::{Address, open};
use crate::tls::ClientTls;

/// Most connections that are kept.
const MAX_IDLE: usize = 8;

/// Longest time for which a connection is kept. Servers close theirs after a minute or so.
const MAX_IDLE_TIME: Duration = Duration::from_secs(15);

/// Time limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// For the connection, handshake included.
    pub connect: Duration,
    /// For the headers of the response, and between two parts of its body.
    pub read: Duration,
}

/// A reason why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The URL names no server.
    #[error("the URL names no server: expected http:// or https://")]
    Address,
    /// Not encrypted, although it has to be.
    #[error("the server may be reached by https:// only")]
    Plain,
    /// The server cannot be reached, or its certificate is not accepted.
    #[error("failed to connect to {0}: {1}")]
    Connect(String, io::Error),
    /// The time limit for the connection passed.
    #[error("no connection to {0} within {1:?}")]
    ConnectTimeout(String, Duration),
    /// The time limit for reading passed.
    #[error("the server sent nothing for {0:?}")]
    ReadTimeout(Duration),
    /// The connection ended, or the response is not HTTP.
    #[error("the response broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The body is larger than allowed.
    #[error("the response is larger than {0} bytes")]
    TooLarge(u64),
}

/// A client of HTTP/1.1. Redirects are not followed, and nothing is decompressed.
#[derive(Debug)]
pub struct Client<B> {
    tls: ClientTls,
    is_plain_allowed: bool,
    limits: TimeLimits,
    idle: Arc<Idle<B>>,
}

/// Connections without a request.
#[derive(Debug)]
struct Idle<B>(Mutex<Vec<Connection<B>>>);

/// A connection to a server.
#[derive(Debug)]
struct Connection<B> {
    address: Address,
    sender: SendRequest<B>,
    idle_since: Instant,
}

/// The body of a response. Once it was read to its end, the connection serves another request.
#[derive(Debug)]
pub struct ResponseBody<B> {
    body: Incoming,
    connection: Option<Connection<B>>,
    idle: Arc<Idle<B>>,
    read_limit: Duration,
    timer: Pin<Box<Sleep>>,
    max_bytes: u64,
    left_bytes: u64,
}

impl<B> Client<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Creates a client. Servers without encryption are refused unless `is_plain_allowed`.
    #[must_use]
    pub fn new(tls: ClientTls, is_plain_allowed: bool, limits: TimeLimits) -> Self {
        Self { tls, is_plain_allowed, limits, idle: Arc::new(Idle(Mutex::default())) }
    }

    /// Sends a request with a complete URL, and returns once the headers of the response are there. Its body may have at
    /// most `max_bytes`.
    ///
    /// Cancel safe: the connection ends when the future or the body is dropped.
    ///
    /// # Errors
    ///
    /// If there is no response of HTTP, whatever its status, within the time limits.
    pub async fn send(
        &self,
        mut request: Request<B>,
        max_bytes: u64,
    ) -> Result<Response<ResponseBody<B>>, SendError> {
        let address = address_of(request.uri())?;
        if !address.is_encrypted() && !self.is_plain_allowed {
            return Err(SendError::Plain);
        }
        make_relative(&mut request)?;
        let mut connection = self.connection(address).await?;
        let response = connection.sender.send_request(request);
        let read_limit = self.limits.read;
        let response = timeout(read_limit, response).await;
        let response = response.map_err(|_| SendError::ReadTimeout(read_limit))??;
        let (head, body) = response.into_parts();
        if body.size_hint().lower() > max_bytes {
            return Err(SendError::TooLarge(max_bytes));
        }
        let mut body = ResponseBody {
            body,
            connection: Some(connection),
            idle: Arc::clone(&self.idle),
            read_limit,
            timer: Box::pin(sleep(read_limit)),
            max_bytes,
            left_bytes: max_bytes,
        };
        body.keep_connection_at_end();
        Ok(Response::from_parts(head, body))
    }

    /// Returns a connection that was kept, else a new one.
    async fn connection(&self, address: Address) -> Result<Connection<B>, SendError> {
        while let Some(mut connection) = self.idle.take(&address) {
            // The server may have closed it meanwhile.
            if timeout(self.limits.read, connection.sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
                return Ok(connection);
            }
        }
        let tls = address.is_encrypted().then_some(&self.tls);
        let shown = || address.authority().to_owned();
        match timeout(self.limits.connect, open(&address, tls)).await {
            Err(_) => Err(SendError::ConnectTimeout(shown(), self.limits.connect)),
            Ok(Err(error)) => Err(SendError::Connect(shown(), error)),
            Ok(Ok(sender)) => Ok(Connection { address, sender, idle_since: Instant::now() }),
        }
    }
}

impl<B> Idle<B> {
    fn take(&self, address: &Address) -> Option<Connection<B>> {
        let mut kept = self.kept();
        kept.retain(|connection| connection.idle_since.elapsed() < MAX_IDLE_TIME);
        let at = kept.iter().rposition(|connection| connection.address == *address)?;
        Some(kept.remove(at))
    }

    fn keep(&self, mut connection: Connection<B>) {
        connection.idle_since = Instant::now();
        let mut kept = self.kept();
        if kept.len() >= MAX_IDLE {
            kept.remove(0);
        }
        kept.push(connection);
    }

    /// Locks the connections, poisoned or not: each is whole at every point where a panic could leave them.
    fn kept(&self) -> MutexGuard<'_, Vec<Connection<B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> ResponseBody<B> {
    fn keep_connection_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(connection) = self.connection.take()
        {
            self.idle.keep(connection);
        }
    }
}

impl<B> Unpin for ResponseBody<B> {}

impl<B> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.timer.as_mut().poll(context));
            return Poll::Ready(Some(Err(SendError::ReadTimeout(self.read_limit))));
        };
        let deadline = tokio::time::Instant::now() + self.read_limit;
        self.timer.as_mut().reset(deadline);
        let Some(frame) = frame.transpose()? else {
            if let Some(connection) = self.connection.take() {
                self.idle.keep(connection);
            }
            return Poll::Ready(None);
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left) = self.left_bytes.checked_sub(bytes) else {
            return Poll::Ready(Some(Err(SendError::TooLarge(self.max_bytes))));
        };
        self.left_bytes = left;
        self.keep_connection_at_end();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn address_of(url: &Uri) -> Result<Address, SendError> {
    let (scheme, authority) = url.scheme_str().zip(url.authority()).ok_or(SendError::Address)?;
    format!("{scheme}://{authority}").parse().map_err(|_| SendError::Address)
}

/// Makes the target of a request a path, and adds the headers that every request needs.
fn make_relative<B>(request: &mut Request<B>) -> Result<(), SendError> {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let host = HeaderValue::from_str(&authority).map_err(|_| SendError::Address)?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = target.parse().map_err(|_| SendError::Address)?;
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    // Signatures cover the header if it is there already.
    headers.entry(header::HOST).or_insert(host);
    let agent = concat!("onnx-gateway/", env!("CARGO_PKG_VERSION"));
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(agent));
    Ok(())
}
