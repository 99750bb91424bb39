//! The access log: one line per response, if it is on.
//!
//! The lines have their own target, `onnx_gateway::access`, so that `log.level` can set their level apart from the
//! rest, or turn them off. They are outside the span of their request and repeat its fields. Keeping and writing a span
//! would cost more than everything else in a small request.

use std::time::Instant;

use axum::http::{HeaderValue, Response};
use tracing::Span;

use super::{
    grpc::status::GRPC_STATUS,
    peer::Peer,
    version::{MODEL_DIGEST, MODEL_VERSION},
};
use crate::auth::Caller;

/// The fields of a request that the access log names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestRecord<'r> {
    /// The id of the request.
    pub(crate) id: Option<&'r HeaderValue>,
    pub(crate) peer: Option<&'r Peer>,
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    /// The caller; `None` until it is known.
    pub(crate) caller: Option<&'r Caller>,
}

impl RequestRecord<'_> {
    /// Creates the span that holds every event of the request.
    pub(crate) fn span(&self) -> Span {
        let Self { id, peer, method, path, caller } = *self;
        // At the highest level, so that the span exists for every event, however low the log level is.
        tracing::error_span!(
            "request",
            id = id.and_then(text),
            peer = peer.map(|Peer(address)| tracing::field::display(address)),
            method,
            path,
            caller.subject = caller.map(|caller| caller.subject.as_str()),
        )
    }

    /// Logs a response whose head is about to be sent: at info level for the access log, else at debug level.
    pub(crate) fn answered<B>(&self, response: &Response<B>, begin: Instant, is_access: bool) {
        let Self { id, peer, method, path, caller } = *self;
        let headers = response.headers();
        let of_response = |name| headers.get(name).and_then(text);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "onnx_gateway::access",
                    parent: None,
                    method,
                    path,
                    status = response.status().as_u16(),
                    // In a response without a body, gRPC reports the result of a call in a header.
                    grpc.status = of_response(GRPC_STATUS),
                    duration_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX),
                    peer = peer.map(|Peer(address)| tracing::field::display(address)),
                    caller.subject = caller.map(|caller| caller.subject.as_str()),
                    model.version = of_response(MODEL_VERSION),
                    model.digest = of_response(MODEL_DIGEST),
                    request.id = id.and_then(text),
                    "answered"
                )
            };
        }
        if is_access {
            line!(info);
        } else {
            line!(debug);
        }
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}
