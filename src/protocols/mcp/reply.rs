//! Responses of JSON-RPC 2.0: results and errors.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use rmcp::model::{ErrorCode, ErrorData, JsonRpcError, JsonRpcResponse, JsonRpcVersion2_0, RequestId};
use serde::Serialize;
use serde_json::Value;

use crate::{
    edge::{ApiError, Audited, rest::render::OwnErrorBody, sentence},
    system::memory::trim_heap_later,
};

/// An error of JSON-RPC, and the status and headers of its response.
#[derive(Debug)]
pub(super) struct RpcError {
    status: StatusCode,
    headers: HeaderMap,
    /// The security event, if it is one.
    audited: Option<Box<Audited>>,
    error: Box<ErrorData>,
}

impl RpcError {
    /// Creates the error of a message, which is a response like any other to HTTP.
    pub(super) fn of_message(error: ErrorData) -> Self {
        Self::new(StatusCode::OK, error)
    }

    /// Creates the error of a request that is not valid as such.
    pub(super) fn bad_request(error: ErrorData) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// Creates the error of a method that does not exist.
    pub(super) fn no_method(status: StatusCode) -> Self {
        let message = "there is no such method: only `tools/list` and `tools/call` are offered";
        Self::new(status, ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None))
    }

    /// Creates the error of a status, whichever layer refused the request.
    pub(super) fn of_status(status: StatusCode, sentence: &str) -> Self {
        let code =
            if status.is_server_error() { ErrorCode::INTERNAL_ERROR } else { ErrorCode::INVALID_REQUEST };
        Self::new(status, ErrorData::new(code, sentence.to_owned(), None))
    }

    fn new(status: StatusCode, error: ErrorData) -> Self {
        Self { status, headers: HeaderMap::new(), audited: None, error: Box::new(error) }
    }

    /// Returns the body for a request whose id is not known: it is null (JSON-RPC 2.0, section 5).
    pub(super) fn document(self) -> Value {
        Self::body(None, *self.error)
    }

    fn body(id: Option<RequestId>, error: ErrorData) -> Value {
        // The library leaves out an id that is not known, which some clients do not take for a message.
        let is_unknown = id.is_none();
        let mut body = serde_json::to_value(JsonRpcError::new(id, error)).unwrap_or_default();
        if is_unknown {
            body["id"] = Value::Null;
        }
        body
    }

    /// Returns the response to the request with this id; `None` if it has none that could be read.
    pub(super) fn respond(self, id: Option<RequestId>) -> Response {
        let Self { status, headers, audited, error } = self;
        let mut response = json(Self::body(id, *error).to_string().into_bytes());
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(OwnErrorBody);
        if let Some(audited) = audited {
            response.extensions_mut().insert(*audited);
        }
        response
    }
}

/// An error of the gateway, as a response has it.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    headers: HeaderMap,
    audited: Option<Box<Audited>>,
    sentence: String,
    /// The problem document.
    document: String,
}

impl Refused {
    /// Takes apart the response to an error, which logs the cause.
    pub(super) async fn of(error: ApiError) -> Self {
        let response = error.into_response();
        let sentence = sentence(&response);
        let (mut parts, body) = response.into_parts();
        let document = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CACHE_CONTROL] {
            parts.headers.remove(name);
        }
        let document = String::from_utf8(document).unwrap_or_default();
        let audited = parts.extensions.remove().map(Box::new);
        Self { status: parts.status, headers: parts.headers, audited, sentence, document }
    }

    /// Returns the problem document if the request was refused because of its content.
    ///
    /// # Errors
    ///
    /// The error of JSON-RPC with the status and headers of any other refusal: a scope, the load, the model.
    pub(super) fn of_content(self) -> Result<String, RpcError> {
        if matches!(self.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) {
            Ok(self.document)
        } else {
            Err(self.into())
        }
    }
}

impl From<Refused> for RpcError {
    fn from(refused: Refused) -> Self {
        let Refused { status, headers, audited, sentence, document } = refused;
        let mut error = Self::of_status(status, &sentence);
        error.error.data = serde_json::from_str(&document).ok();
        Self { headers, audited, ..error }
    }
}

/// Writes the message with a result.
pub(super) fn written(id: RequestId, result: impl Serialize) -> Result<Vec<u8>, ApiError> {
    let message = JsonRpcResponse { jsonrpc: JsonRpcVersion2_0, id, result };
    let body = serde_json::to_vec(&message).map_err(|_| ApiError::ResponseNotWritten)?;
    trim_heap_later(body.len());
    Ok(body)
}

/// Returns a response with a body that is JSON already.
pub(super) fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
