//! Schemas of messages, for the API description only; other modules read and write them.

use serde::Serialize;
use utoipa::ToSchema;

/// A request or notification of JSON-RPC 2.0.
#[derive(Serialize, ToSchema)]
#[schema(as = McpRequest, examples(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "iris",
    "arguments": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}}})))]
pub(super) struct RequestMessage {
    /// `2.0`
    #[schema(example = "2.0")]
    jsonrpc: String,
    /// A text or a whole number; absent in a notification
    #[schema(value_type = Option<Value>, example = 1)]
    id: Option<serde_json::Value>,
    /// The method
    #[schema(example = "tools/list")]
    method: String,
    /// The parameters of the method: an object
    #[schema(value_type = Option<Value>)]
    params: Option<serde_json::Value>,
}

/// A response of JSON-RPC 2.0: `result`, or `error`.
#[derive(Serialize, ToSchema)]
#[schema(as = McpResponse)]
pub(super) struct ResultMessage {
    /// `2.0`
    #[schema(example = "2.0")]
    jsonrpc: String,
    /// The id of the request
    #[schema(value_type = Value, example = 1)]
    id: serde_json::Value,
    /// The result of the method
    #[schema(value_type = Option<Object>)]
    result: Option<serde_json::Value>,
    /// The error of the message
    error: Option<ErrorObject>,
}

/// An error of JSON-RPC 2.0.
#[derive(Serialize, ToSchema)]
#[schema(as = McpError)]
pub(super) struct ErrorMessage {
    /// `2.0`
    #[schema(example = "2.0")]
    jsonrpc: String,
    /// The id of the request; null if it could not be read
    #[schema(value_type = Option<Value>)]
    id: Option<serde_json::Value>,
    /// The error
    error: ErrorObject,
}

/// The error itself.
#[derive(Serialize, ToSchema)]
#[schema(as = McpErrorObject)]
pub(super) struct ErrorObject {
    /// A code of JSON-RPC or of the protocol
    #[schema(example = -32602)]
    code: i32,
    /// A sentence for people
    message: String,
    /// More about the error: the problem document of the gateway, or the supported versions
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
}
