//! The access log: one line per response, if it is on.
//!
//! The lines have their own target, `onnx_gateway::access`, so that `log.level` can set their level apart from the
//! rest, or turn them off. They repeat the fields of their request's span. Keeping and writing a span would cost more than
//! everything else in a small request, so the fast path has none.

use std::{net::IpAddr, time::Duration};

use axum::http::{HeaderMap, HeaderValue, Response};
use tracing::Span;

use super::{
    grpc::status::GRPC_STATUS,
    state::EdgeState,
    version::{MODEL_DIGEST, MODEL_VERSION},
};
use crate::{
    auth::Caller,
    limits::Peer,
    telemetry::logging::{AccessLevel, AccessLine, log_access},
};

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
    /// The address that proxies name.
    pub(crate) forwarded: Forwarded<'r>,
}

/// The address of the client that proxies name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forwarded<'r> {
    /// Still in these headers.
    In(&'r HeaderMap),
    /// Read before the headers were handed on; `None` if no proxy is trusted.
    Read(Option<IpAddr>),
}

impl RequestRecord<'_> {
    /// Returns the address of the client, behind trusted proxies.
    pub(super) fn client(&self, state: &EdgeState) -> Option<IpAddr> {
        let peer = *self.peer?;
        match self.forwarded {
            Forwarded::In(headers) => Some(state.client_of(peer, headers)),
            Forwarded::Read(client) => Some(client.unwrap_or(peer.address)),
        }
    }

    /// Creates the span that holds every event of the request.
    pub(crate) fn span(&self) -> Span {
        let Self { id, peer, method, path, caller, .. } = *self;
        // At the highest level, so that the span exists for every event, however low the log level is.
        tracing::error_span!(
            "request",
            id = id.and_then(text),
            peer = peer.map(|peer| tracing::field::display(peer.address)),
            method,
            path,
            caller.subject = caller.map(|caller| caller.subject.as_str()),
            caller.kind = caller.and_then(|caller| caller.kind.name()),
        )
    }

    /// Logs a response whose head is about to be sent.
    pub(crate) fn log<B>(&self, response: &Response<B>, duration: Duration, level: AccessLevel) {
        let Self { id, peer, method, path, caller, .. } = *self;
        let headers = response.headers();
        let of_response = |name| headers.get(name).and_then(text);
        let line = AccessLine {
            method,
            path,
            status: response.status().as_u16(),
            // In a response without a body, gRPC reports the result of a call in a header.
            grpc_status: of_response(GRPC_STATUS),
            duration,
            peer: peer.map(|peer| peer.address),
            caller_subject: caller.map(|caller| caller.subject.as_str()),
            caller_kind: caller.and_then(|caller| caller.kind.name()),
            model_version: of_response(MODEL_VERSION),
            model_digest: of_response(MODEL_DIGEST),
            request_id: id.and_then(text),
        };
        log_access(level, &line);
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}
