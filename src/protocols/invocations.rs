//! `/ping` and `/invocations`, which MLflow's scoring server and SageMaker share. The form of a request tells them
//! apart.
//!
//! A body of Triton's media type for SageMaker is a request of the Open Inference Protocol. So is JSON whose `inputs`
//! are a list of named tensors. Any other JSON, and CSV, is MLflow's. If one of the two protocols is off, every request
//! belongs to the other. Errors have the fields of both.

mod body;
pub(super) mod describe;
pub(super) mod schema;
pub(super) mod target_model;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(super) use self::body::{Declared, content_type};
use self::{body::BodyKind, describe::InvocationErrors, target_model::target_model};
use super::{
    mlflow::wire::{CSV_ROWS, MlflowRequest, read_csv, read_json},
    open_inference::rest::infer_response,
    tensorflow::{
        rows_response,
        run_inputs::{model_of, read_and_drop, refuse_rows, run},
        wire::Columns,
    },
};
use crate::{
    auth::Caller,
    codec::json_schema::SchemaPlace,
    config::{DialectName, DialectSettings, Settings},
    edge::{
        ApiError, DescribedModel, EdgeState, MayPredict, ModelDescription, OperationPaths, Permit, Protocol,
        RouteSet, Routes,
        rest::{body::read_aligned, response::json_response},
    },
    model::ModelName,
    serving::{PermittedServable, Readiness, RequestContext, ServingError},
};

/// The paths that MLflow and SageMaker share.
#[derive(Debug)]
pub(super) struct Invocations;

impl Protocol for Invocations {
    fn claims(&self, _: &Method, path: &str) -> bool {
        ["/ping", "/invocations", "/version"].contains(&path)
    }

    fn open_paths(&self) -> &'static [&'static str] {
        &["/ping", "/version"]
    }

    fn routes(&self, settings: &Settings) -> Routes {
        let dialects = &settings.dialects;
        let understood = EnabledDialects::new(dialects);
        if !understood.any() {
            return Routes::default();
        }
        Routes {
            tensors: inference(understood),
            platform_authenticates: platform_authenticates(dialects),
            probes: probes(understood),
            ..Routes::default()
        }
    }

    fn describe(&self, model: DescribedModel<'_>, place: SchemaPlace<'_>) -> ModelDescription {
        let paths = OperationPaths { of_model: None, of_default: Some("/invocations") };
        schema::describe(model, paths, place)
    }

    fn error_document(&self, status: StatusCode, sentence: &str) -> Option<Value> {
        Some(json!({"error_code": mlflow_error_code(status), "message": sentence, "error": sentence}))
    }

    fn error_schema(&self) -> (&'static str, &'static str) {
        ("application/json", "InvocationError")
    }
}

/// Returns MLflow's word for an error, which its clients map to exceptions.
fn mlflow_error_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
        StatusCode::TOO_MANY_REQUESTS => "REQUEST_LIMIT_EXCEEDED",
        StatusCode::SERVICE_UNAVAILABLE => "TEMPORARILY_UNAVAILABLE",
        StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
        status if status.is_server_error() => "INTERNAL_ERROR",
        _ => "BAD_REQUEST",
    }
}

/// The protocols that are on.
#[derive(Clone, Copy, Debug)]
pub(super) struct EnabledDialects {
    mlflow: bool,
    sagemaker: bool,
}

impl EnabledDialects {
    /// Reads the protocols that are on from the settings.
    pub(super) fn new(dialects: &DialectSettings) -> Self {
        Self { mlflow: dialects.mlflow, sagemaker: dialects.sagemaker }
    }

    /// Returns true if one of them is on.
    pub(super) fn any(self) -> bool {
        self.mlflow || self.sagemaker
    }
}

/// Returns true if a platform authenticates callers of `/invocations`: one of them for both, as they share the path.
pub(super) fn platform_authenticates(dialects: &DialectSettings) -> bool {
    (dialects.mlflow && dialects.authenticates(DialectName::Mlflow))
        || (dialects.sagemaker && dialects.authenticates(DialectName::Sagemaker))
}

/// Returns the routes that run the default model.
fn inference(understood: EnabledDialects) -> RouteSet {
    RouteSet::new().routes(routes!(invocations)).layer(Extension(understood))
}

/// Returns the routes that the platform polls.
fn probes(understood: EnabledDialects) -> RouteSet {
    let routes = RouteSet::new().routes(routes!(ping));
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
pub(super) async fn ping(State(state): State<EdgeState>) -> Result<Response, ApiError> {
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
    State(state): State<EdgeState>,
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
    state: &EdgeState,
    understood: EnabledDialects,
    caller: &Caller,
    model: Option<&ModelName>,
    request: Request,
) -> Result<Response, ApiError> {
    let permit = Permit::<MayPredict>::check(state, caller, model.map(ModelName::as_str), None)?
        .charged_to(request.extensions());
    let declared = content_type(request.headers())?;
    let servable = state.serving.permitted_servable(&permit.model, None)?;
    let body = read_aligned(request.into_body(), declared.json_bytes()).await?;
    invoke_body(state, understood, servable, declared, body, permit.context).await
}

/// Runs a version on a body, whose binary tensors are aligned.
pub(super) async fn invoke_body(
    state: &EdgeState,
    understood: EnabledDialects,
    servable: PermittedServable,
    declared: Declared,
    body: Bytes,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let model = model_of(&servable);
    let EnabledDialects { mlflow, sagemaker } = understood;
    let kind = declared.kind_of(&body, mlflow, sagemaker)?;
    if !matches!(kind, BodyKind::OpenInference { .. }) {
        context.reserve_elements(&servable.signature, &body).await?;
    }
    match kind {
        BodyKind::OpenInference { json_bytes } => {
            let answered = infer_response(state, servable, body, json_bytes, context).await;
            let (mut response, json_bytes) = match answered {
                Ok(answered) => answered,
                Err(failed) => return Ok(failed.into_response()),
            };
            if let Some(json_bytes) = json_bytes {
                response.headers_mut().insert(header::CONTENT_TYPE, body::binary_media_type(json_bytes)?);
            }
            Ok(response)
        }
        BodyKind::Csv(header) => {
            let layout = servable.layout_of_rows().map_err(ServingError::from)?;
            let rows = read_and_drop(body, |body| read_csv(body, header, layout, model.contract))?;
            rows_response(state, servable, rows, Some(CSV_ROWS), context).await
        }
        BodyKind::Json => {
            refuse_rows(&servable, &body)?;
            match read_and_drop(body, |body| read_json(body, model))? {
                MlflowRequest::Rows(rows, place) => {
                    rows_response(state, servable, rows, Some(place), context).await
                }
                MlflowRequest::Columns(given) => {
                    let inference = run(state, servable, given, None, context).await?;
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
