//! Whether a body was read to its end before its request was answered.
//!
//! What is not read has to be, before the next request on the connection can be; where that is much, the connection is
//! closed instead. A client that is not told so sends its next request into a connection that is about to close.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Response, header},
};
use http_body::{Frame, SizeHint};

/// A body that is no longer lies in the connection's buffer with the head, as a rule: it is skipped there.
const SKIPPED_BYTES: u64 = 4 * 1024;

/// What is left of a body.
pub(super) struct Unread {
    ended: Arc<AtomicBool>,
}

impl Unread {
    /// A body that is watched. One that is short, and known to be, need not be.
    pub(super) fn of(body: Body) -> (Body, Option<Self>) {
        if body.is_end_stream() || body.size_hint().upper().is_some_and(|bytes| bytes <= SKIPPED_BYTES) {
            return (body, None);
        }
        let ended = Arc::new(AtomicBool::new(false));
        (Body::new(Watched { body, ended: Arc::clone(&ended) }), Some(Self { ended }))
    }

    /// Says in the answer that the connection ends with it, if the body was not read.
    pub(super) fn tell(self, response: &mut Response<Body>) {
        if !self.ended.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

struct Watched {
    body: Body,
    ended: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.ended.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn closes(unread: Unread) -> bool {
        let mut response = Response::new(Body::empty());
        unread.tell(&mut response);
        response.headers().contains_key(header::CONNECTION)
    }

    #[tokio::test]
    async fn a_long_body_that_is_not_read_ends_the_connection() {
        let long = || Unread::of(Body::from(vec![b' '; 10_000]));
        let (body, unread) = long();
        drop(body);
        assert!(closes(unread.unwrap()));
        let (body, unread) = long();
        body.collect().await.unwrap();
        assert!(!closes(unread.unwrap()));
        assert!(Unread::of(Body::from("short")).1.is_none());
    }
}
