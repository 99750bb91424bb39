//! The access log: a line for each answer, where it is wanted.
//!
//! Its lines have a target of their own, `onnx_gateway::access`, so that `log.level` can have them in another level than
//! the rest, or not at all.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use tower_http::trace::OnResponse;
use tracing::Span;

use super::{
    state::Peer,
    version::{MODEL_DIGEST, MODEL_VERSION},
};
use crate::auth::Caller;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The span of a request, which every event of it is in. Who calls is recorded once it is known.
pub(crate) fn request_span(
    id: &HeaderValue,
    peer: Option<&Peer>,
    (method, path): (&str, &str),
    caller: Option<&Caller>,
) -> Span {
    // Of the highest level, so that it is there for every event however little is logged.
    tracing::error_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        peer = peer.map(|Peer(address)| tracing::field::display(address)),
        method,
        path,
        caller.subject = caller.map(|caller| caller.subject.as_str()),
    )
}

/// Writes the line of each answer whose head is sent, in the span of its request; without it, a line for who debugs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessLog {
    /// Whether there is one.
    pub(crate) is_on: bool,
}

impl AccessLog {
    /// To be called within the span of the request.
    pub(crate) fn answered<B>(self, response: &Response<B>, latency: Duration) {
        let headers = response.headers();
        let status = response.status().as_u16();
        let duration_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // gRPC says what came of a call in a header where nothing else follows.
        let grpc_status = text(headers, &GRPC_STATUS);
        let version = text(headers, &MODEL_VERSION);
        let digest = text(headers, &MODEL_DIGEST);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "onnx_gateway::access",
                    status,
                    grpc.status = grpc_status,
                    model.version = version,
                    model.digest = digest,
                    duration_us,
                    "answered"
                )
            };
        }
        if self.is_on {
            line!(info);
        } else {
            line!(debug);
        }
    }
}

impl<B> OnResponse<B> for AccessLog {
    fn on_response(self, response: &Response<B>, latency: Duration, _: &Span) {
        self.answered(response, latency);
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
