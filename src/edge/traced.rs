//! Requests whose times are kept, for a trace or for their client.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::{access::RequestRecord, state::EdgeState};
use crate::telemetry::{Timeline, TraceHeaders, TracedRequest};

/// The header with the client's place in a trace (W3C Trace Context).
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with more of it for other systems.
pub(crate) const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// The header by which a client asks for `Server-Timing`; its value does not matter.
pub(crate) const WANTS_TIMING: HeaderName = HeaderName::from_static("x-server-timing");

/// The header of a response with the place of its request in a trace (W3C Trace Context, level 2).
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The header of a response with the times of its request (W3C Server Timing).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Returns what the headers of a request say of its trace. A `traceparent` that is there twice counts as absent.
pub(crate) fn trace_headers(headers: &HeaderMap) -> TraceHeaders<'_> {
    let mut parents = headers.get_all(TRACE_PARENT).iter();
    let lines = headers.get_all(TRACE_STATE).iter().filter_map(|line| line.to_str().ok());
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let parent = parents.next().filter(|_| parents.next().is_none());
    TraceHeaders {
        parent: parent.map(HeaderValue::as_bytes),
        state: (!lines.is_empty()).then(|| lines.join(",")),
        asks_for_timing: headers.contains_key(WANTS_TIMING),
    }
}

/// Statuses of gRPC by which the gateway, and not the caller, has failed (OpenTelemetry, semantic conventions for gRPC).
const FAILURES: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// Exports the trace of a request, if it has one, and tells its client of the trace and the times.
#[cold]
pub(super) fn traced<B>(
    state: &EdgeState,
    timeline: &Arc<Timeline>,
    request: &RequestRecord<'_>,
    (route, grpc_status): (&str, Option<&str>),
    duration: Duration,
    response: &mut Response<B>,
) {
    let status = response.status();
    if let Some(traces) = &state.traces {
        traces.finish(
            timeline,
            &TracedRequest {
                method: request.method,
                route,
                path: request.path,
                status: status.as_u16(),
                grpc_status,
                has_failed: grpc_status.map_or(status.is_server_error(), |status| FAILURES.contains(&status)),
                is_of_caller: request.caller.is_some(),
                id: request.id.and_then(|id| id.to_str().ok()),
                duration,
            },
        );
    }
    // Times show how busy the gateway is, so strangers get none.
    if request.caller.is_none() {
        return;
    }
    let told =
        [(SERVER_TIMING, timeline.server_timing(duration)), (TRACE_RESPONSE, timeline.trace_response())];
    for (name, value) in told {
        if let Some(mut value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            // HTTP/2 would remember each as if it came again (RFC 7541 section 6.2.3).
            value.set_sensitive(true);
            response.headers_mut().insert(name, value);
        }
    }
}
