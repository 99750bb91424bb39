//! Schemas of requests and responses, for the API description only; other modules read and write them.

use serde::Serialize;
use utoipa::ToSchema;

use super::InvocationError;

/// Rows as `dataframe_split`, `dataframe_records` or `instances`, or whole tensors as `inputs`; or a request of the
/// Open Inference Protocol, as under `/v2`.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
    "data": [[5.1, 3.5, 1.4, 0.2]]}})))]
pub(in crate::protocols) struct InvocationDocument {
    /// `columns`, `data` and optionally `index`
    #[schema(value_type = Option<Object>)]
    dataframe_split: Option<serde_json::Value>,
    /// Values by column name for each row
    #[schema(value_type = Option<Vec<Object>>)]
    dataframe_records: Option<Vec<serde_json::Value>>,
    /// Rows in the form of TensorFlow Serving
    #[schema(value_type = Option<Vec<Value>>)]
    instances: Option<Vec<serde_json::Value>>,
    /// Tensors in the form of TensorFlow Serving or of the Open Inference Protocol
    #[schema(value_type = Option<Value>)]
    inputs: Option<serde_json::Value>,
    /// Absent, or an empty object
    #[schema(value_type = Option<Object>)]
    params: Option<serde_json::Value>,
}

/// The model's outputs.
#[derive(Serialize, ToSchema)]
pub(in crate::protocols) struct InvocationAnswer {
    /// One item per row: a value if the model has one output, else an object of values by output name. For `inputs`: a
    /// tensor, or an object of tensors
    #[schema(value_type = Value)]
    predictions: serde_json::Value,
}

/// The error responses that both routes share.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::protocols) enum InvocationErrors {
    /// The request is invalid: the error names the place
    #[response(status = 400)]
    BadRequest(InvocationError),
    /// The token is missing or not valid
    #[response(status = 401)]
    Unauthorized(InvocationError),
    /// The token lacks the scope `predict`
    #[response(status = 403)]
    Forbidden(InvocationError),
    /// There is no such model
    #[response(status = 404)]
    NotFound(InvocationError),
    /// The body is too large
    #[response(status = 413)]
    PayloadTooLarge(InvocationError),
    /// The body is neither JSON nor CSV, or its encoding is neither gzip nor deflate
    #[response(status = 415)]
    UnsupportedMediaType(InvocationError),
    /// A quota is used up; `Retry-After` says when to retry
    #[response(status = 429)]
    TooManyRequests(InvocationError),
    /// The model failed
    #[response(status = 500)]
    InternalServerError(InvocationError),
    /// The model is not in service or is overloaded; `Retry-After` says when to retry
    #[response(status = 503)]
    ServiceUnavailable(InvocationError),
    /// The model did not finish in time
    #[response(status = 504)]
    GatewayTimeout(InvocationError),
}
