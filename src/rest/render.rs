//! Turns errors that the framework and its layers answer in their own way (plain text, or nothing) into problem
//! documents.

use std::any::Any;

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, Response as HttpResponse, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::dialect::Dialect;
use crate::transport::{MEDIA_TYPE, Problem, Sentence};

/// The dialect that a request is in.
pub(super) type DialectOf = fn(&Method, &str) -> Dialect;

/// Leaves what is a document in the dialect of the path already; `Allow` and its like are kept.
pub(super) async fn render_errors(dialect_of: DialectOf, request: Request, next: Next) -> Response {
    let dialect = dialect_of(request.method(), request.uri().path());
    let mut response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let id = response.extensions().get::<RequestedId>().map(|RequestedId(id)| id.as_str());
    if let Some(document) = dialect.error_document(status, &sentence(&response), id) {
        let mut rendered = Json(document).into_response();
        rendered.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        *response.status_mut() = dialect.status(status);
        return with_body_of(response, rendered);
    }
    if is_document(&response) { response } else { with_body_of(response, problem_of(status).into_response()) }
}

/// The id that a caller gave its request, for the error that it gets.
#[derive(Clone, Debug)]
struct RequestedId(String);

/// An error that names the request by the caller's own id, where its dialect has one.
pub(super) fn with_id(mut error: Response, id: Option<String>) -> Response {
    if let Some(id) = id {
        error.extensions_mut().insert(RequestedId(id));
    }
    error
}

/// What went wrong, in one sentence.
fn sentence(response: &Response) -> String {
    let of = |response: &Response| response.extensions().get::<Sentence>().map(|Sentence(text)| text.clone());
    of(response).or_else(|| of(&problem_of(response.status()).into_response())).unwrap_or_default()
}

/// The response with another body, and the headers that describe it.
fn with_body_of(response: Response, rendered: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    let (rendered, body) = rendered.into_parts();
    // What described the body before: its length, and how it was compressed.
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        parts.headers.remove(name);
    }
    for name in [header::CONTENT_TYPE, header::CACHE_CONTROL] {
        if let Some(value) = rendered.headers.get(&name) {
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
        StatusCode::PAYLOAD_TOO_LARGE => (
            "body_too_large",
            "the body is larger than server.max_body_bytes, or server.max_tensor_body_bytes under /v2",
        ),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "the answer took longer than server.request_timeout_ms"),
        StatusCode::INTERNAL_SERVER_ERROR => ("internal_error", "the gateway failed; the log says why"),
        _ => ("error", "the request cannot be answered"),
    };
    Problem::new(status, code, detail)
}
