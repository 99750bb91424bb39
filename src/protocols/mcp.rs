//! The Model Context Protocol (MCP), by which agents use models as tools, over streamable HTTP.
//!
//! Each request is a message of its own: there are no sessions and no streams, so nothing is kept for a client. The
//! messages are those of the library `rmcp`. Its server is not used: it reads arguments into values before any model
//! sees them, and handles requests outside of the layers.
//!
//! Revisions with a handshake and those without are served side by side ([`revision`]).

mod call;
mod headers;
mod message;
mod origin;
mod reply;
mod revision;
mod schema;
mod server;
mod tool;
mod tools;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::from_fn,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use utoipa_axum::routes;

use self::{
    headers::accepts_json,
    message::{Message, Received},
    origin::Origins,
    reply::RpcError,
    schema::{ErrorMessage, RequestMessage, ResultMessage},
    tools::Tools,
};
use crate::{
    auth::Caller,
    config::Settings,
    edge::{
        ApiError, EdgeState, Problem, Protocol, RouteSet, Routes, is_below,
        rest::body::{declares_json, read},
    },
};

/// The Model Context Protocol.
#[derive(Debug)]
pub(super) struct Mcp;

impl Protocol for Mcp {
    fn claims(&self, _: &Method, path: &str) -> bool {
        is_below(path, "/mcp")
    }

    fn routes(&self, settings: &Settings) -> Routes {
        if !settings.mcp.enabled {
            return Routes::default();
        }
        let origins = Origins::new(&settings.cors);
        let rows = RouteSet::new()
            .routes(routes!(post))
            .layer(Extension(Arc::<Tools>::default()))
            .layer(from_fn(move |request, next| origin::check(origins.clone(), request, next)));
        Routes { rows, ..Routes::default() }
    }

    fn error_document(&self, status: StatusCode, sentence: &str) -> Option<Value> {
        Some(RpcError::of_status(status, sentence).document())
    }

    fn error_schema(&self) -> (&'static str, &'static str) {
        ("application/json", "McpError")
    }
}

/// Send a message of the Model Context Protocol
///
/// Lists models as tools (`tools/list`, needs `read` and `predict`) and calls them (`tools/call`, needs `predict`).
#[utoipa::path(post, path = "/mcp", operation_id = "mcp", tag = "predict", security(("bearer" = [])),
    request_body = RequestMessage, responses(
    (status = 200, description = "The result, or an error of the message", body = ResultMessage),
    (status = 202, description = "The notification was accepted"),
    (status = 400, description = "The message, its version or its headers are not valid", body = ErrorMessage),
    (status = 403, description = "The token lacks a scope, or the page's origin is not allowed", body = ErrorMessage),
    (status = 404, description = "There is no such method (from revision 2026-07-28 on)", body = ErrorMessage),
    (status = 406, description = "`Accept` excludes application/json", body = ErrorMessage),
    (status = 503, description = "The model is not in service or is overloaded", body = ErrorMessage)))]
async fn post(
    State(state): State<EdgeState>,
    Extension(tools): Extension<Arc<Tools>>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    if !accepts_json(request.headers()) {
        let detail = "the response is application/json, which the `Accept` header excludes";
        return Err(ApiError::of_protocol(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            detail,
        )));
    }
    declares_json(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let message = match Message::read(&body) {
        Ok(Received::Request(message)) => message,
        Ok(Received::Notification) => return Ok(StatusCode::ACCEPTED.into_response()),
        Err(error) => return Ok(error.respond(None)),
    };
    drop(body);
    Ok(server::respond(&state, &tools, &caller, &parts, message).await)
}
