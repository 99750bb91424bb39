//! Bodies that are sent in several parts without copying them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::system::memory::trim_heap_later;

/// The parts that are not sent yet.
struct Parts(VecDeque<Bytes>);

impl Parts {
    fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }
}

/// Returns a body of these parts, with a known length.
pub(crate) fn body_of(mut parts: Vec<Bytes>) -> Body {
    match parts.pop() {
        Some(only) if parts.is_empty() => {
            trim_heap_later(only.len());
            Body::from(only)
        }
        last => {
            let parts = Parts(parts.into_iter().chain(last).filter(|part| !part.is_empty()).collect());
            trim_heap_later(parts.bytes());
            Body::new(parts)
        }
    }
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.bytes()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn parts_are_one_body_of_known_length() {
        for parts in [&[][..], &["one"], &["one", "", " and two"]] {
            let whole = parts.concat();
            let body = body_of(parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect());
            assert_eq!(body.size_hint().exact(), u64::try_from(whole.len()).ok());
            assert_eq!(body.collect().await.unwrap().to_bytes(), whole);
        }
    }
}
