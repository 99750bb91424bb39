//! `/ping` and `/invocations`, which MLflow's scoring server and SageMaker share. The form of a request tells them
//! apart.
//!
//! A body of Triton's media type for SageMaker is a request of the Open Inference Protocol. So is JSON whose `inputs`
//! are a list of named tensors. Any other JSON, and CSV, is MLflow's. If one of the two dialects is off, every request
//! belongs to the other. Errors have the fields of both.

mod body;
pub(super) mod describe;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    body::{BodyKind, content_type},
    describe::InvocationErrors,
};
use super::{
    answer::json_response,
    json_body::read_aligned,
    open_inference::infer_response,
    run_inputs::{model_of, read_and_drop, refuse_rows, run},
    target_model::target_model,
    tensorflow::rows_response,
};
use crate::{
    auth::Caller,
    config::DialectSettings,
    model::ModelName,
    serving::{Readiness, ServingError},
    transport::{ApiError, MayPredict, Permit, TransportState},
    wire::{
        mlflow::{CSV_ROWS, MlflowRequest, read_csv, read_json},
        tensorflow::Columns,
    },
};

/// The dialects that are on.
#[derive(Clone, Copy, Debug)]
pub(super) struct EnabledDialects {
    mlflow: bool,
    sagemaker: bool,
}

impl EnabledDialects {
    /// Reads the dialects from the settings.
    pub(super) fn new(dialects: &DialectSettings) -> Self {
        Self { mlflow: dialects.mlflow, sagemaker: dialects.sagemaker }
    }
}

/// Returns the routes that run the default model.
pub(super) fn inference(understood: EnabledDialects) -> OpenApiRouter<TransportState> {
    OpenApiRouter::new().routes(routes!(invocations)).layer(Extension(understood))
}

/// Returns the routes that the platform polls.
pub(super) fn probes(understood: EnabledDialects) -> OpenApiRouter<TransportState> {
    let routes = OpenApiRouter::new().routes(routes!(ping));
    if understood.mlflow { routes.routes(routes!(version)) } else { routes }
}

/// An error, with the fields of MLflow and of SageMaker.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvocationError {
    /// A stable code for programs, as MLflow names it
    #[schema(example = "BAD_REQUEST")]
    error_code: &'static str,
    /// A sentence for people
    message: String,
    /// The sentence of `message` again
    error: String,
}

/// Check that the gateway accepts requests, for MLflow and SageMaker
#[utoipa::path(get, path = "/ping", operation_id = "platform_ping", tag = "platforms", responses(
    (status = 200, description = "It does; the body is empty", body = String, content_type = "text/plain"),
    (status = 503, description = "It does not, with the reason", body = InvocationError)))]
pub(super) async fn ping(State(state): State<TransportState>) -> Result<Response, ApiError> {
    match state.serving.readiness() {
        Readiness::Ready => {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, text)], Body::empty()).into_response())
        }
        other => Err(ApiError::NotReady(other)),
    }
}

/// Get the version of the gateway, in place of MLflow's
#[utoipa::path(get, path = "/version", operation_id = "platform_version", tag = "platforms",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn version() -> Response {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], env!("CARGO_PKG_VERSION")).into_response()
}

/// Predict with the default model, in the form of MLflow or SageMaker
///
/// `X-Amzn-SageMaker-Target-Model` may name another model.
#[utoipa::path(post, path = "/invocations", operation_id = "invocations", tag = "platforms", security(("bearer" = ["predict"])),
    request_body(content((describe::InvocationDocument = "application/json"), (String = "text/csv"))),
    responses(
    (status = 200, description = "The prediction; `x-model-version` and `x-model-digest` name the version that made \
        it", body = describe::InvocationAnswer),
    InvocationErrors))]
pub(super) async fn invocations(
    State(state): State<TransportState>,
    Extension(understood): Extension<EnabledDialects>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    Permit::<MayPredict>::check_any(&caller)?;
    let model = target_model(request.headers())?;
    invoke(&state, understood, &caller, model.as_ref(), request).await
}

/// The response by output.
#[derive(Serialize)]
struct ByOutput<'p> {
    predictions: Columns<'p>,
}

/// Runs a model, or the default one.
pub(super) async fn invoke(
    state: &TransportState,
    understood: EnabledDialects,
    caller: &Caller,
    model: Option<&ModelName>,
    request: Request,
) -> Result<Response, ApiError> {
    let permit = Permit::<MayPredict>::check(state, caller, model.map(ModelName::as_str), None)?
        .charged_to(request.extensions());
    let declared = content_type(request.headers())?;
    let servable = state.serving.permitted_servable(&permit.model, None)?;
    let model = model_of(&servable);
    let body = read_aligned(request.into_body(), declared.json_bytes()).await?;
    let EnabledDialects { mlflow, sagemaker } = understood;
    let kind = declared.kind_of(&body, mlflow, sagemaker)?;
    if !matches!(kind, BodyKind::OpenInference { .. }) {
        permit.context.reserve_elements(&servable.signature, &body).await?;
    }
    match kind {
        BodyKind::OpenInference { json_bytes } => {
            let (mut response, json_bytes) =
                infer_response(state, servable, body, json_bytes, permit.context).await?;
            if let Some(json_bytes) = json_bytes {
                response.headers_mut().insert(header::CONTENT_TYPE, body::binary_media_type(json_bytes)?);
            }
            Ok(response)
        }
        BodyKind::Csv(header) => {
            let layout = servable.layout_of_rows().map_err(ServingError::from)?;
            let rows = read_and_drop(body, |body| read_csv(body, header, layout, model.contract))?;
            rows_response(state, servable, rows, Some(CSV_ROWS), permit.context).await
        }
        BodyKind::Json => {
            refuse_rows(&servable, &body)?;
            match read_and_drop(body, |body| read_json(body, model))? {
                MlflowRequest::Rows(rows, place) => {
                    rows_response(state, servable, rows, Some(place), permit.context).await
                }
                MlflowRequest::Columns(given) => {
                    let inference = run(state, servable, given, None, permit.context).await?;
                    let (signature, values) = (&inference.servable.signature, inference.outputs.as_slice());
                    json_response(
                        &inference.servable,
                        &ByOutput { predictions: Columns { signature, values } },
                    )
                }
            }
        }
    }
}
