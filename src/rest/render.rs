//! Turns errors that the framework and its layers answer in their own way (plain text, or nothing) into problem
//! documents.

use std::any::Any;

use axum::{
    body::Body,
    http::{HeaderValue, Response as HttpResponse, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem::{MEDIA_TYPE, Problem};

/// Leaves what is a document already; `Allow` and its like are kept.
pub(super) async fn render_errors(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || is_document(&response) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let (problem, body) = problem_of(status).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    for name in [header::CONTENT_TYPE, header::CACHE_CONTROL] {
        if let Some(value) = problem.headers.get(&name) {
            parts.headers.insert(name, value.clone());
        }
    }
    HttpResponse::from_parts(parts, body)
}

/// The answer to a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> HttpResponse<Body> {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("no message"), "a handler panicked");
    problem_of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// OAuth errors are JSON documents of their own form (RFC 6749 section 5.2).
fn is_document(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value == MEDIA_TYPE.as_bytes() || value == b"application/json")
}

fn problem_of(status: StatusCode) -> Problem {
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("not_found", "there is no such path: see /docs"),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this path has other methods: see `Allow`"),
        StatusCode::REQUEST_TIMEOUT => ("body_timeout", "the body did not come in time"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is larger than server.max_body_bytes"),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "the answer took longer than server.request_timeout_ms"),
        StatusCode::INTERNAL_SERVER_ERROR => ("internal_error", "the gateway failed; the log says why"),
        _ => ("error", "the request cannot be answered"),
    };
    Problem::new(status, code, detail)
}
