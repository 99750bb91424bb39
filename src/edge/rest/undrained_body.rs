//! The part of a request body that the handler did not read.
//!
//! The next request on the connection comes after this rest, so it has to be read first. Clients and proxies often send
//! a body in a later packet than its head, and the next request directly after it. A short rest is therefore read
//! before the response is sent. For any other rest the response announces that the connection closes, so that no client
//! sends a request that is never read.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, Response, header},
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::prefixed_body::{PrefixedBody, first};

/// Maximum length of a body that usually arrives with its head, so that one poll is enough.
const SHORT_BYTES: u64 = 4 * 1024;

/// Maximum length of a rest that is read to keep the connection open, and the time that it may take.
const REST_BYTES: u64 = 64 * 1024;
const REST_TIME: Duration = Duration::from_secs(1);

/// The rest of a body whose handler may not read it all.
pub(crate) struct UndrainedBody {
    rest: Arc<Rest>,
    /// True if the client sends its body only on request (`Expect: 100-continue`).
    waits_to_be_asked: bool,
}

#[derive(Default)]
struct Rest {
    ended: AtomicBool,
    /// Returned by the handler's side when it drops the body.
    body: Mutex<Option<Body>>,
}

impl Rest {
    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UndrainedBody {
    /// Wraps a body so that its rest is kept; `None` if all of it has arrived already.
    pub(crate) fn of(headers: &HeaderMap, mut body: Body) -> (Body, Option<Self>) {
        if body.is_end_stream() {
            return (body, None);
        }
        // Polling the body would make the server ask the client for it.
        let waits_to_be_asked = headers.contains_key(header::EXPECT);
        let exact = body.size_hint().exact().filter(|bytes| *bytes <= SHORT_BYTES);
        if let Some(exact) = exact.filter(|_| !waits_to_be_asked) {
            match first(&mut body) {
                Some(whole) if whole.len() as u64 == exact => return (Body::from(whole), None),
                first => body = PrefixedBody::new(first, body).into(),
            }
        }
        let rest = Arc::new(Rest::default());
        let watched = Watched { body: Some(body), rest: Arc::clone(&rest) };
        (Body::new(watched), Some(Self { rest, waits_to_be_asked }))
    }

    /// Reads a short rest, or announces in the response that the connection closes.
    pub(crate) async fn drain_or_close(self, response: &mut Response<Body>) {
        if self.rest.ended.load(Ordering::Acquire) || response.headers().contains_key(header::CONNECTION) {
            return;
        }
        let rest = self.rest.lock().take();
        let is_read = match rest {
            Some(rest) if !self.waits_to_be_asked && rest.size_hint().lower() <= REST_BYTES => {
                timeout(REST_TIME, ends_soon(rest)).await.unwrap_or(false)
            }
            _ => false,
        };
        if !is_read {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Returns true if the body ends within `REST_BYTES`.
async fn ends_soon(mut rest: Body) -> bool {
    let mut bytes = 0;
    while let Some(frame) = rest.frame().await {
        let Ok(frame) = frame else { return false };
        bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        if bytes > REST_BYTES {
            return false;
        }
    }
    true
}

/// A body that returns its rest when it is dropped.
struct Watched {
    /// `None` once the body is broken or returned.
    body: Option<Body>,
    rest: Arc<Rest>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Err(_))) => self.body = None,
            Poll::Ready(None) => self.rest.ended.store(true, Ordering::Release),
            Poll::Ready(Some(Ok(_))) if body.is_end_stream() => {
                self.rest.ended.store(true, Ordering::Release);
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.rest.lock() = self.body.take();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Returns a body in parts, the first of which comes later than the head.
    fn later(parts: usize, bytes: usize) -> Body {
        let parts = (0..parts).map(move |_| Ok::<_, Error>(Bytes::from(vec![b' '; bytes])));
        let head = stream::once(async {
            tokio::task::yield_now().await;
            Ok(Bytes::new())
        });
        Body::from_stream(futures_util::StreamExt::chain(head, stream::iter(parts)))
    }

    async fn closes(unread: UndrainedBody) -> bool {
        let mut response = Response::new(Body::empty());
        unread.drain_or_close(&mut response).await;
        response.headers().get(header::CONNECTION).is_some_and(|value| value == "close")
    }

    fn of(body: Body) -> (Body, UndrainedBody) {
        let (body, unread) = UndrainedBody::of(&HeaderMap::new(), body);
        (body, unread.unwrap())
    }

    #[tokio::test]
    async fn a_short_rest_is_read_and_a_long_one_ends_the_connection() {
        let (body, unread) = of(later(4, 1000));
        drop(body);
        assert!(!closes(unread).await);
        let (body, unread) = of(later(70, 1000));
        drop(body);
        assert!(closes(unread).await, "without a length it is read as far as it is short");
        let (body, unread) = of(Body::from(vec![b' '; 70_000]));
        drop(body);
        assert!(closes(unread).await, "it is announced as long");
    }

    #[tokio::test]
    async fn a_body_that_was_read_or_came_with_its_head_is_not_waited_for() {
        let (body, unread) = of(later(70, 1000));
        body.collect().await.unwrap();
        assert!(!closes(unread).await);
        let (body, unread) = UndrainedBody::of(&HeaderMap::new(), Body::from("short"));
        assert!(unread.is_none());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "short");
        assert!(UndrainedBody::of(&HeaderMap::new(), Body::empty()).1.is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_kept_broken_or_not_asked_for_ends_the_connection() {
        let (kept, unread) = of(later(1, 1));
        assert!(closes(unread).await);
        drop(kept);
        let (mut broken, unread) = of(Body::from_stream(stream::iter([Err::<Bytes, _>("broken")])));
        assert!(broken.frame().await.unwrap().is_err());
        drop(broken);
        assert!(closes(unread).await);
        let expects = HeaderMap::from_iter([(header::EXPECT, HeaderValue::from_static("100-continue"))]);
        let (body, unread) = UndrainedBody::of(&expects, Body::from("short"));
        drop(body);
        assert!(closes(unread.unwrap()).await);
    }
}
