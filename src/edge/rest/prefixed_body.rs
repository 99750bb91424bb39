//! Bodies that arrive together with their headers.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Returns the first part of a body, without waiting; `None` if it did not arrive with the head.
pub(crate) fn first<B: HttpBody<Data = Bytes> + Unpin>(body: &mut B) -> Option<Bytes> {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        // A broken body fails again on the slow path, and a missing one is awaited there.
        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => None,
    }
}

/// A body whose first part has been read already.
pub(crate) struct PrefixedBody<B> {
    first: Option<Bytes>,
    rest: B,
}

impl<B> PrefixedBody<B> {
    pub(crate) fn new(first: Option<Bytes>, rest: B) -> Self {
        Self { first, rest }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for PrefixedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = u64::try_from(self.first.as_ref().map_or(0, Bytes::len)).unwrap_or(u64::MAX);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

impl<B> From<PrefixedBody<B>> for Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    fn from(body: PrefixedBody<B>) -> Self {
        Self::new(body)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn a_body_that_was_looked_at_is_read_as_if_it_had_not_been() {
        let mut body = Full::new(Bytes::from_static(b"abc"));
        let first = first(&mut body);
        assert_eq!(first.as_deref(), Some(&b"abc"[..]));
        let again = PrefixedBody::new(first, body);
        assert_eq!(again.size_hint().exact(), Some(3));
        assert!(!again.is_end_stream());
        assert_eq!(again.collect().await.unwrap().to_bytes(), "abc");
        let empty = PrefixedBody::new(None, Full::new(Bytes::from_static(b"d")));
        assert_eq!(Body::from(empty).collect().await.unwrap().to_bytes(), "d");
    }
}
