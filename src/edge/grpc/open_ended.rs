//! Responses without an end of their own: they end with the gateway, or at the client's deadline.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use futures_util::future::{BoxFuture, FutureExt};
use http_body::Frame;
use tokio::time::sleep_until;
use tonic::{Status, codegen::http::HeaderMap};

use super::{deadline::Deadline, status::status_of};
use crate::edge::{ApiError, Ending, OpenEndedResponse};

/// Ends the responses of methods that wait for events.
pub(crate) async fn end_with_gateway(request: Request, next: Next) -> Response {
    let mut ending = Ending::of(request.extensions());
    let call = request.extensions().get::<Deadline>().and_then(|deadline| deadline.call);
    let end = async move {
        let deadline = async {
            match call {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ending.begun() => Status::unavailable("the gateway is shutting down"),
            () = deadline => status_of(ApiError::Timeout),
        }
    };
    let mut response = next.run(request).await;
    response.extensions_mut().insert(OpenEndedResponse);
    response.map(|body| Body::new(OpenEnded { body, end: Some(end.boxed()) }))
}

/// A body that ends with the given status, unless it ends by itself before.
struct OpenEnded {
    body: Body,
    end: Option<BoxFuture<'static, Status>>,
}

impl HttpBody for OpenEnded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let status = match end.poll_unpin(context) {
            Poll::Ready(status) => status,
            Poll::Pending => return Pin::new(&mut self.body).poll_frame(context),
        };
        self.end = None;
        let mut trailers = HeaderMap::new();
        // Fails only for a message that is not a valid header value, and these messages are valid.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
