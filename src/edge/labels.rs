//! Metric labels of requests.

use axum::{
    extract::MatchedPath,
    http::{HeaderMap, Method, StatusCode, header},
};

use super::grpc::status::GRPC_STATUS;

/// Label of every path without a route, so that a scan by a client creates no new series.
const NO_ROUTE: &str = "none";

/// The media type of gRPC responses.
const GRPC: &str = "application/grpc";

/// gRPC's statuses by number.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Returns the pattern of the route that a request matched.
pub(super) fn route_label(route: Option<&MatchedPath>) -> &str {
    route.map_or(NO_ROUTE, MatchedPath::as_str)
}

/// Returns the status; for gRPC its own status name, as the HTTP status is always 200. A status that is unknown when
/// the headers are written, as for streams, counts as `OK`.
pub(super) fn status_label<'s>(status: &'s StatusCode, headers: &HeaderMap) -> &'s str {
    match headers.get(GRPC_STATUS).and_then(|status| status.to_str().ok()?.parse::<usize>().ok()) {
        Some(code) => GRPC_CODES.get(code).unwrap_or(&"UNKNOWN"),
        None if headers.get(header::CONTENT_TYPE).is_some_and(|media_type| media_type == GRPC) => {
            GRPC_CODES[0]
        }
        None => status.as_str(),
    }
}

/// Returns one of the methods of RFC 9110; a client may invent others.
pub(super) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
