//! Turns errors that the framework and its layers answer in their own way (plain text, or nothing) into problem
//! documents.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, Method, Response as HttpResponse, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{dialect::Dialect, header_rules};
use crate::transport::{MEDIA_TYPE, problem_of, sentence};

/// The dialect that a request is in.
pub(super) type DialectOf = fn(&Method, &str) -> Dialect;

/// Refuses what breaks the rules of headers, and renders errors. Leaves what is a document in the dialect of the path already; `Allow` and its like are kept.
pub(super) async fn render_errors(dialect_of: DialectOf, request: Request, next: Next) -> Response {
    let dialect = dialect_of(request.method(), request.uri().path());
    let mut response = match header_rules::refused(&request) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
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

/// OAuth errors are JSON documents of their own form (RFC 6749 section 5.2).
fn is_document(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value == MEDIA_TYPE.as_bytes() || value == b"application/json")
}
