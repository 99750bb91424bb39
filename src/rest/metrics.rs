//! Counting requests, and showing what was counted.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{problem::Problem, state::RestState};

/// Prometheus text exposition format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Stands for every path at which there is nothing, so that a scan makes no new series.
const NO_ROUTE: &str = "none";

pub(super) async fn count(State(state): State<RestState>, request: Request, next: Next) -> Response {
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

pub(super) async fn metrics(State(state): State<RestState>) -> Response {
    match state.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the metrics cannot be written")
                .into_response()
        }
    }
}
