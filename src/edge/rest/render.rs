//! Error bodies: plain text or empty errors of the framework and its layers become documents of the protocol.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, Response as HttpResponse, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::header_rules;
use crate::edge::{MEDIA_TYPE, Protocol, Protocols, problem_of, sentence};

/// Refuses requests that break the rules of headers, and renders errors. Responses that are documents of their protocol
/// already are kept, and so are headers such as `Allow`.
pub(crate) async fn render_errors(protocols: Protocols, request: Request, next: Next) -> Response {
    let protocol = protocols.of(request.method(), request.uri().path());
    let response = match header_rules::refused(&request) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    rendered(protocol, response)
}

/// Gives an error the form of its protocol, and returns every other response unchanged.
pub(crate) fn rendered(protocol: &dyn Protocol, mut response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    if response.extensions().get::<OwnErrorBody>().is_some() {
        return response;
    }
    if let Some(mut document) = protocol.error_document(status, &sentence(&response)) {
        if let Some(RequestedId(id)) = response.extensions().get() {
            document["id"] = id.as_str().into();
        }
        let mut rendered = Json(document).into_response();
        rendered.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        return with_body_of(response, rendered);
    }
    if is_document(&response) { response } else { with_body_of(response, problem_of(status).into_response()) }
}

/// Marks an error whose handler wrote the body in the form of its protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnErrorBody;

/// The id that a caller gave its request, repeated in its error.
#[derive(Clone, Debug)]
struct RequestedId(String);

/// Adds the caller's own request id to an error; only some protocols show it.
pub(crate) fn with_id(mut error: Response, id: Option<String>) -> Response {
    if let Some(id) = id {
        error.extensions_mut().insert(RequestedId(id));
    }
    error
}

/// Replaces the body of a response, and the headers that describe it.
fn with_body_of(response: Response, rendered: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    let (rendered, body) = rendered.into_parts();
    // The length and compression of the previous body.
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

/// Returns true if the body is a problem document or JSON already, as OAuth errors are (RFC 6749 section 5.2).
fn is_document(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value == MEDIA_TYPE.as_bytes() || value == b"application/json")
}
