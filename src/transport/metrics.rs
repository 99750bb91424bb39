//! Counting requests.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::state::TransportState;

/// Stands for every path at which there is nothing, so that a scan makes no new series.
const NO_ROUTE: &str = "none";

pub(crate) async fn count(State(state): State<TransportState>, request: Request, next: Next) -> Response {
    let _in_flight = state.metrics.request_started();
    let start = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    state.metrics.request_answered(method, route, response.status().as_str(), start.elapsed());
    response
}

/// The methods of RFC 9110; a client may make up others.
fn method_label(method: &Method) -> &'static str {
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
