//! `/ping` and `/invocations`, which MLflow's scoring server and SageMaker both have: the form of a request tells whose it
//! is.
//!
//! A body of Triton's media type for SageMaker, or JSON whose `inputs` are a list of named tensors, is a request of the Open
//! Inference Protocol; any other JSON, and CSV, is MLflow's. Where one of the two dialects is switched off, everything is
//! taken for the other's. Errors have what both look for.

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
    answer::json_answer,
    given::{refuse_rows, run},
    json_body::read,
    open_inference::answer_body,
    sagemaker::target_model,
    tensorflow::answer_rows,
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

/// Whose requests are understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Understood {
    mlflow: bool,
    sagemaker: bool,
}

impl Understood {
    /// What the settings say.
    pub(super) fn new(dialects: &DialectSettings) -> Self {
        Self { mlflow: dialects.mlflow, sagemaker: dialects.sagemaker }
    }
}

/// What runs the default model.
pub(super) fn inference(understood: Understood) -> OpenApiRouter<TransportState> {
    OpenApiRouter::new().routes(routes!(invocations)).layer(Extension(understood))
}

/// What the platform asks again and again.
pub(super) fn probes(understood: Understood) -> OpenApiRouter<TransportState> {
    let routes = OpenApiRouter::new().routes(routes!(ping));
    if understood.mlflow { routes.routes(routes!(version)) } else { routes }
}

/// An error as both look for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvocationError {
    /// A stable word for programs, as MLflow has it
    #[schema(example = "BAD_REQUEST")]
    error_code: &'static str,
    /// A sentence for people
    message: String,
    /// The same sentence
    error: String,
}

/// Whether requests should be sent here, for MLflow and SageMaker
#[utoipa::path(get, path = "/ping", operation_id = "platform_ping", tag = "platforms", responses(
    (status = 200, description = "They should; the body is empty", body = String, content_type = "text/plain"),
    (status = 503, description = "Not now, and why", body = InvocationError)))]
pub(super) async fn ping(State(state): State<TransportState>) -> Result<Response, ApiError> {
    match state.serving.readiness() {
        Readiness::Ready => {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, text)], Body::empty()).into_response())
        }
        other => Err(ApiError::NotReady(other)),
    }
}

/// The version of the gateway, where MLflow has its own
#[utoipa::path(get, path = "/version", operation_id = "platform_version", tag = "platforms",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn version() -> Response {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], env!("CARGO_PKG_VERSION")).into_response()
}

/// Ask the default model, in the words of MLflow or SageMaker
///
/// `X-Amzn-SageMaker-Target-Model` may name another model.
#[utoipa::path(post, path = "/invocations", operation_id = "invocations", tag = "platforms", security(("bearer" = ["predict"])),
    request_body(content((describe::InvocationDocument = "application/json"), (String = "text/csv"))),
    responses(
    (status = 200, description = "What the model says; which version said it stands in `x-model-version` and \
        `x-model-digest`", body = describe::InvocationAnswer),
    InvocationErrors))]
pub(super) async fn invocations(
    State(state): State<TransportState>,
    Extension(understood): Extension<Understood>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    Permit::<MayPredict>::check_any(&caller)?;
    let model = target_model(request.headers())?;
    invoke(&state, understood, &caller, model.as_ref(), request).await
}

/// The answer by output.
#[derive(Serialize)]
struct ByOutput<'p> {
    predictions: Columns<'p>,
}

/// Asks a model, or the default one.
pub(super) async fn invoke(
    state: &TransportState,
    understood: Understood,
    caller: &Caller,
    model: Option<&ModelName>,
    request: Request,
) -> Result<Response, ApiError> {
    let permit = Permit::<MayPredict>::check(state, caller, model.map(ModelName::as_str), None)?;
    let declared = content_type(request.headers())?;
    let servable = state.serving.servable(&permit.model, None)?;
    let (signature, layout, contract) = (&servable.signature, servable.layout.as_deref(), &servable.contract);
    let body = read(request.into_body()).await?;
    let Understood { mlflow, sagemaker } = understood;
    match declared.kind_of(&body, mlflow, sagemaker)? {
        BodyKind::OpenInference { json_bytes } => {
            let (mut response, json_bytes) =
                answer_body(state, servable, body, json_bytes, permit.terms).await?;
            if let Some(json_bytes) = json_bytes {
                response.headers_mut().insert(header::CONTENT_TYPE, body::binary_media_type(json_bytes)?);
            }
            Ok(response)
        }
        BodyKind::Csv(header) => {
            let layout = servable.layout_of_rows().map_err(ServingError::from)?;
            let rows = read_csv(&body, header, layout, contract)?;
            answer_rows(state, servable, rows, Some(CSV_ROWS), permit.terms).await
        }
        BodyKind::Json => {
            refuse_rows(&servable, &body)?;
            match read_json(&body, signature, layout, contract)? {
                MlflowRequest::Rows(rows, place) => {
                    answer_rows(state, servable, rows, Some(place), permit.terms).await
                }
                MlflowRequest::Columns(given) => {
                    let inference = run(state, servable, given, None, permit.terms).await?;
                    let (signature, values) = (&inference.servable.signature, inference.outputs.as_slice());
                    json_answer(&inference.servable, &ByOutput { predictions: Columns { signature, values } })
                }
            }
        }
    }
}
