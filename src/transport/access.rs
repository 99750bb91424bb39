//! The access log: a line for each answer, where it is wanted.
//!
//! Its lines have a target of their own, `onnx_gateway::access`, so that `log.level` can have them in another level than
//! the rest, or not at all. They stand outside the span of their request and name what it names: a span has to be kept,
//! and written out, for more than all the rest of a small request takes.

use std::time::Instant;

use axum::http::{HeaderName, HeaderValue, Response};
use tracing::Span;

use super::{
    state::Peer,
    version::{MODEL_DIGEST, MODEL_VERSION},
};
use crate::auth::Caller;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Who asked what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedBy<'r> {
    /// The id of the request.
    pub(crate) id: Option<&'r HeaderValue>,
    pub(crate) peer: Option<&'r Peer>,
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    /// Once it is known.
    pub(crate) caller: Option<&'r Caller>,
}

impl AskedBy<'_> {
    /// The span of the request, which every event of it is in.
    pub(crate) fn span(&self) -> Span {
        let Self { id, peer, method, path, caller } = *self;
        // Of the highest level, so that it is there for every event however little is logged.
        tracing::error_span!(
            "request",
            id = id.and_then(text),
            peer = peer.map(|Peer(address)| tracing::field::display(address)),
            method,
            path,
            caller.subject = caller.map(|caller| caller.subject.as_str()),
        )
    }

    /// Writes the line of an answer whose head is about to be sent: of the access log, or for who debugs.
    pub(crate) fn answered<B>(&self, response: &Response<B>, begin: Instant, is_access: bool) {
        let Self { id, peer, method, path, caller } = *self;
        let headers = response.headers();
        let of_answer = |name| headers.get(name).and_then(text);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "onnx_gateway::access",
                    parent: None,
                    method,
                    path,
                    status = response.status().as_u16(),
                    // gRPC says what came of a call in a header where nothing else follows.
                    grpc.status = of_answer(GRPC_STATUS),
                    duration_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX),
                    peer = peer.map(|Peer(address)| tracing::field::display(address)),
                    caller.subject = caller.map(|caller| caller.subject.as_str()),
                    model.version = of_answer(MODEL_VERSION),
                    model.digest = of_answer(MODEL_DIGEST),
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
