//! The errors of each operation: adds those of its layers, in the form of its protocol.

use axum::http::{Method, StatusCode};
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::{Operation, PathItem},
    security::SecurityRequirement,
};

use super::super::{PROTOCOLS, open_paths};
use crate::edge::{OpenPaths, Protocol};

/// Adds every error of every operation, and a text for each response. OpenAPI 3.1 requires the text, and client
/// generators insist on it.
pub(super) fn completed(mut description: OpenApi) -> OpenApi {
    let open = open_paths();
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, path, PROTOCOLS.of(&method, path), &open);
            accept_api_keys(operation);
        }
    }
    description
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, post, delete, .. } = item;
    let operations = [(Method::GET, get), (Method::POST, post), (Method::DELETE, delete)];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds an API key as the alternative to each token.
fn accept_api_keys(operation: &mut Operation) {
    if needs_scope(operation)
        && let Some(security) = &mut operation.security
    {
        security.push(SecurityRequirement::new("api_key", Vec::<String>::new()));
    }
}

fn complete(operation: &mut Operation, path: &str, protocol: &dyn Protocol, open: &OpenPaths) {
    for (status, text) in errors_of_layers(operation, path, open) {
        let entry = operation.responses.responses.entry(status.as_str().to_owned());
        entry.or_insert_with(|| RefOr::T(error(protocol, text)));
    }
    for (status, response) in &mut operation.responses.responses {
        let (RefOr::T(response), Ok(status)) = (response, status.parse::<StatusCode>()) else { continue };
        if response.description.is_empty() {
            status.canonical_reason().unwrap_or("Response").clone_into(&mut response.description);
        }
        // A broken rule of HTTP is also 400, beside an error of another form such as OAuth's.
        if status == StatusCode::BAD_REQUEST {
            response.content.extend(error(protocol, "").content);
        }
        // In other protocols `render_errors` writes all errors, whatever the handler returns.
        if (status.is_client_error() || status.is_server_error()) && !protocol.has_problem_documents() {
            response.content = error(protocol, "").content;
        }
    }
}

/// Returns the errors of the layers in front of a handler, and those of reading a body.
fn errors_of_layers(
    operation: &Operation,
    path: &str,
    open: &OpenPaths,
) -> impl Iterator<Item = (StatusCode, &'static str)> + use<> {
    let needs_token = !open.contain(path);
    let needs_scope = needs_scope(operation);
    let takes_body = operation.request_body.is_some();
    // Probes are exempt from the quotas.
    let is_charged = needs_token || takes_body;
    let errors = [
        (true, StatusCode::BAD_REQUEST, "The request breaks a rule of HTTP, or has two tokens"),
        (needs_token, StatusCode::UNAUTHORIZED, "No token, or one that is not valid"),
        (needs_scope, StatusCode::FORBIDDEN, "The token lacks the scope"),
        (path.contains('{'), StatusCode::NOT_FOUND, "There is no resource of this name"),
        (takes_body, StatusCode::REQUEST_TIMEOUT, "The body did not arrive within server.body_timeout_ms"),
        (takes_body, StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        (
            takes_body,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body's media type is not one of these, or its encoding is neither gzip nor deflate",
        ),
        (
            is_charged,
            StatusCode::TOO_MANY_REQUESTS,
            "A quota is used up; `Retry-After` says when to try again",
        ),
        (true, StatusCode::INTERNAL_SERVER_ERROR, "The gateway failed; the log says why"),
        (true, StatusCode::NOT_IMPLEMENTED, "The `Transfer-Encoding` is not `chunked`"),
        (
            is_charged,
            StatusCode::SERVICE_UNAVAILABLE,
            "The gateway is overloaded; `Retry-After` says when to try again",
        ),
        (true, StatusCode::GATEWAY_TIMEOUT, "The request took longer than server.request_timeout_ms"),
    ];
    errors.into_iter().filter_map(|(applies, status, text)| applies.then_some((status, text)))
}

/// Returns true if a scope is named with the scheme: the requirement is written as `{"bearer": ["read"]}`.
#[expect(clippy::expect_used, reason = "requirements are fixed names and lists of names")]
fn needs_scope(operation: &Operation) -> bool {
    let security = serde_json::to_value(&operation.security).expect("a requirement is JSON");
    security.as_array().is_some_and(|all| all.iter().any(|one| one["bearer"].get(0).is_some()))
}

fn error(protocol: &dyn Protocol, text: &str) -> Response {
    let (media_type, schema) = protocol.error_schema();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(text).content(media_type, content).build()
}
