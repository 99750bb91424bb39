//! Inference: JSON, JSON followed by binary tensors, or one binary tensor alone.

use std::mem;

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::schema::{InferRequestDocument, InferResponseDocument};
use crate::{
    edge::{
        ApiError, EdgeState, ErrorDocument, MayPredict, Permit, offload,
        rest::{body::read_aligned, body_parts::body_of, render::with_id, response::answer},
    },
    model::Value,
    protocols::open_inference::{
        operations,
        wire::{InferRequest, read_infer_request, read_raw_request, write_infer_response},
    },
    serving::{PermittedServable, RequestContext},
};

/// Number of bytes of a body that are JSON; binary tensors follow (extension `binary_tensor_data`).
pub(in crate::protocols) const JSON_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// The media type of a response with binary tensors.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Predict with the latest version
///
/// `Inference-Header-Content-Length` gives the length of the JSON in the body. Tensors with a `binary_data_size` follow
/// it. With the value 0, the body is the only input of the model.
#[utoipa::path(post, path = "/v2/models/{model}/infer", tag = "open inference", security(("bearer" = ["predict"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    request_body = InferRequestDocument, responses(InferResponses))]
pub(in crate::protocols) async fn infer(
    state: State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, FailedInference> {
    run(state, permit, request).await
}

/// Predict with one version
#[utoipa::path(post, path = "/v2/models/{model}/versions/{version}/infer", tag = "open inference",
    security(("bearer" = ["predict"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version that is in service, or a label", example = "1")),
    request_body = InferRequestDocument, responses(InferResponses))]
pub(in crate::protocols) async fn version_infer(
    state: State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, FailedInference> {
    run(state, permit, request).await
}

/// The responses that both routes share.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its schema is used")]
enum InferResponses {
    /// The model's outputs; `x-model-version` and `x-model-digest` name the version
    #[response(status = 200)]
    Ok(InferResponseDocument),
    /// The request is invalid: the error names the place
    #[response(status = 400)]
    BadRequest(ErrorDocument),
    /// The token is missing or not valid
    #[response(status = 401)]
    Unauthorized(ErrorDocument),
    /// The token lacks the scope `predict`
    #[response(status = 403)]
    Forbidden(ErrorDocument),
    /// There is no such model or version
    #[response(status = 404)]
    NotFound(ErrorDocument),
    /// The body did not arrive in time
    #[response(status = 408)]
    RequestTimeout(ErrorDocument),
    /// The body is too large
    #[response(status = 413)]
    PayloadTooLarge(ErrorDocument),
    /// The body's encoding is neither gzip nor deflate
    #[response(status = 415)]
    UnsupportedMediaType(ErrorDocument),
    /// A quota is used up; `Retry-After` says when to retry
    #[response(status = 429)]
    TooManyRequests(ErrorDocument),
    /// The model failed
    #[response(status = 500)]
    InternalServerError(ErrorDocument),
    /// The model is not in service or is overloaded; `Retry-After` says when to retry
    #[response(status = 503)]
    ServiceUnavailable(ErrorDocument),
    /// The model did not finish in time
    #[response(status = 504)]
    GatewayTimeout(ErrorDocument),
}

/// An inference that failed, and the id that its caller gave it.
#[derive(Debug)]
pub(in crate::protocols) struct FailedInference {
    error: ApiError,
    id: Option<String>,
}

impl<E: Into<ApiError>> From<E> for FailedInference {
    fn from(error: E) -> Self {
        Self { error: error.into(), id: None }
    }
}

impl IntoResponse for FailedInference {
    fn into_response(self) -> Response {
        with_id(self.error.into_response(), self.id)
    }
}

async fn run(
    State(state): State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, FailedInference> {
    let json_bytes = json_length(request.headers())?;
    let servable = state.serving.permitted_servable(&permit.model, permit.version.as_ref())?;
    let body = read_aligned(request.into_body(), json_bytes.unwrap_or_default()).await?;
    infer_body(&state, servable, body, json_bytes, permit.context).await
}

/// Responds to a body whose first `json_bytes` are JSON, or all of it if `None`.
pub(in crate::protocols) async fn infer_body(
    state: &EdgeState,
    servable: PermittedServable,
    body: Bytes,
    json_bytes: Option<usize>,
    context: RequestContext,
) -> Result<Response, FailedInference> {
    let (mut response, json_bytes) = infer_response(state, servable, body, json_bytes, context).await?;
    if let Some(json_bytes) = json_bytes {
        let headers = response.headers_mut();
        headers.insert(JSON_LENGTH, HeaderValue::from(json_bytes));
        headers.insert(header::CONTENT_TYPE, BINARY);
    }
    Ok(response)
}

/// Approximate length of a written number.
const ELEMENT_BYTES: usize = 8;

/// Responds to a body whose first `json_bytes` are JSON, or all of it if `None`. Returns the same length for the
/// response.
pub(in crate::protocols) async fn infer_response(
    state: &EdgeState,
    servable: PermittedServable,
    body: Bytes,
    json_bytes: Option<usize>,
    context: RequestContext,
) -> Result<(Response, Option<usize>), FailedInference> {
    let json = body.get(..json_bytes.unwrap_or(body.len())).unwrap_or_default();
    context.reserve_elements(&servable.signature, json).await?;
    let mut asked = if json_bytes == Some(0) {
        read_raw_request(body, &servable.signature)
    } else {
        let asked = read_infer_request(&body, json_bytes);
        // Everything needed is in the tensors now.
        drop(body);
        asked
    }?;
    let answered = answered(state, servable, &mut asked, context).await;
    answered.map_err(|error| FailedInference { error, id: asked.id })
}

async fn answered(
    state: &EdgeState,
    servable: PermittedServable,
    asked: &mut InferRequest,
    context: RequestContext,
) -> Result<(Response, Option<usize>), ApiError> {
    let inference = operations::infer(state, servable, asked, context).await?;
    // Kept for errors.
    let request = InferRequest { id: asked.id.clone(), ..mem::take(asked) };
    asked.id.clone_from(&request.id);
    let elements: usize = inference.outputs.iter().map(Value::elements).sum();
    let write = async move {
        let outputs = operations::outputs(&inference, &request)?;
        let (model, version) = (&inference.servable.name, inference.servable.version);
        let written = write_infer_response(model, version, request.id.as_deref(), &outputs)
            .map_err(|_| ApiError::ResponseNotWritten)?;
        Ok((answer(&inference.servable, body_of(written.parts)), written.json_bytes))
    };
    // A small request may have a large response.
    offload(Some(elements.saturating_mul(ELEMENT_BYTES)), write).await?
}

/// Reads the header; `None` if it is absent.
pub(in crate::protocols) fn json_length(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let mut values = headers.get_all(JSON_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(length) if values.next().is_none() => Ok(Some(length)),
        _ => Err(ApiError::BadRequest("Inference-Header-Content-Length must be one whole number of bytes")),
    }
}
