//! What requests are counted under.

use axum::{
    extract::MatchedPath,
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
};

/// Stands for every path at which there is nothing, so that a scan makes no new series.
const NO_ROUTE: &str = "none";

/// The media type of gRPC's answers.
const GRPC: &str = "application/grpc";

/// The header of gRPC answers that are errors from the start.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// gRPC's statuses by their numbers.
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

/// The pattern of the path that a request matched.
pub(super) fn route_label(route: Option<&MatchedPath>) -> &str {
    route.map_or(NO_ROUTE, MatchedPath::as_str)
}

/// The status; of gRPC, where that of HTTP is always 200, the name of its own. One that is not known yet when the
/// headers are written, as those of streams are not, is taken for `OK`.
pub(super) fn status_label<'s>(status: &'s StatusCode, headers: &HeaderMap) -> &'s str {
    match headers.get(GRPC_STATUS).and_then(|status| status.to_str().ok()?.parse::<usize>().ok()) {
        Some(code) => GRPC_CODES.get(code).unwrap_or(&"UNKNOWN"),
        None if headers.get(header::CONTENT_TYPE).is_some_and(|media_type| media_type == GRPC) => {
            GRPC_CODES[0]
        }
        None => status.as_str(),
    }
}

/// The methods of RFC 9110; a client may make up others.
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
