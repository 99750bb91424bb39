//! SageMaker's multi-model routes ("Build your own container for multi-model endpoints"), as far as they fit a
//! repository inside the container. Models are loaded only from that repository.
//!
//! `GET /models` and `GET /models/NAME` remain those of the native protocol.

use std::path::{self, Component, PathBuf};

use axum::{
    Extension, Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{Method, StatusCode},
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;
use validator::Validate;

use super::invocations::{
    EnabledDialects,
    describe::{InvocationAnswer, InvocationDocument, InvocationErrors},
    invoke, schema,
    target_model::target_model,
};
use crate::{
    auth::Caller,
    codec::{FieldError, json_schema::SchemaPlace, parse_valid},
    config::{DialectName, Settings, StoreUrl},
    edge::{
        ApiError, DescribedModel, EdgeState, ErrorDocument, MayManage, MayPredict, ModelDescription,
        OperationPaths, Permit, Problem, Protocol, RouteSet, Routes, rest::body::read_json,
    },
    model::ModelName,
    serving::{OperationError, Reason, Refusal},
};

/// SageMaker's multi-model routes.
#[derive(Debug)]
pub(super) struct SageMaker;

impl Protocol for SageMaker {
    fn claims(&self, method: &Method, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        matches!(
            (method, segments.as_slice()),
            (_, ["models", _, "invoke"]) | (&Method::POST, ["models"]) | (&Method::DELETE, ["models", _])
        )
    }

    fn routes(&self, settings: &Settings) -> Routes {
        let dialects = &settings.dialects;
        if !dialects.sagemaker {
            return Routes::default();
        }
        Routes {
            management: management(Repository::new(&settings.models.repository)),
            tensors: inference(EnabledDialects::new(dialects)),
            platform_authenticates: dialects.authenticates(DialectName::Sagemaker),
            ..Routes::default()
        }
    }

    fn describe(&self, model: DescribedModel<'_>, place: SchemaPlace<'_>) -> ModelDescription {
        let paths = OperationPaths { of_model: Some("/models/{model}/invoke"), of_default: None };
        schema::describe(model, paths, place)
    }
}

/// The folder that models must be in.
#[derive(Clone, Debug)]
pub(super) struct Repository(PathBuf);

impl Repository {
    /// Creates the repository for this path, made absolute, or for the URL of an object store.
    pub(super) fn new(path: &path::Path) -> Self {
        if StoreUrl::of_repository(path).is_some() {
            return Self(path.to_path_buf());
        }
        Self(path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
    }

    /// Returns true if a path is that of a model in the repository, or of something in the model's folder. The check
    /// reads only the path, so that a caller cannot probe the file system.
    fn holds(&self, path: &str, model: &ModelName) -> bool {
        let path = path::Path::new(path);
        let is_plain =
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let inside = path.strip_prefix(&self.0).ok().and_then(|rest| rest.components().next());
        let name = inside.and_then(|first| first.as_os_str().to_str()).unwrap_or_default();
        is_plain && name.strip_suffix(".onnx").unwrap_or(name) == model.as_str()
    }
}

/// Returns the routes that run one of several models.
fn inference(understood: EnabledDialects) -> RouteSet {
    RouteSet::new().routes(routes!(invoke_model)).layer(Extension(understood))
}

/// Returns the routes that load and unload models.
fn management(repository: Repository) -> RouteSet {
    RouteSet::new().routes(routes!(load)).routes(routes!(unload)).layer(Extension(repository))
}

/// Predict with one of several models, in the form of MLflow or SageMaker
///
/// `X-Amzn-SageMaker-Target-Model` names the model; if it is absent, the path does.
#[utoipa::path(post, path = "/models/{model}/invoke", operation_id = "sagemaker_invoke", tag = "platforms", security(("bearer" = ["predict"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    request_body(content = InvocationDocument), responses(
    (status = 200, description = "The prediction; `x-model-version` and `x-model-digest` name the version that made \
        it", body = InvocationAnswer),
    InvocationErrors))]
pub(super) async fn invoke_model(
    State(state): State<EdgeState>,
    Extension(understood): Extension<EnabledDialects>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    Permit::<MayPredict>::check_any(&caller)?;
    let model = match target_model(request.headers())? {
        Some(model) => model,
        None => match path {
            Ok(Path(name)) => name.parse().map_err(|_| ApiError::NoSuchName)?,
            Err(_) => return Err(ApiError::NoSuchName),
        },
    };
    invoke(&state, understood, &caller, Some(&model), request).await
}

/// A request to load a model.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadRequest {
    /// The name of the model
    #[schema(example = "iris")]
    model_name: String,
    /// The path of the model, which must be in the repository
    #[schema(example = "/models/iris")]
    url: String,
}

/// A loaded model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Loaded {
    /// The name of the model
    #[serde(rename = "modelName")]
    #[schema(example = "iris")]
    model_name: String,
    /// The path of the model
    #[serde(rename = "modelUrl")]
    #[schema(example = "/models/iris")]
    model_url: String,
}

/// Load a model from the repository, for SageMaker
///
/// A caller that may only predict gets 409 if the model is loaded already, which SageMaker accepts as success.
#[utoipa::path(post, path = "/models", operation_id = "sagemaker_load", tag = "platforms", security(("bearer" = ["manage"])),
    request_body = LoadRequest, responses(
    (status = 200, body = Loaded),
    (status = 400, description = "It is not in the repository, or was refused, with the reason", body = ErrorDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `manage`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 409, description = "It is loaded already", body = ErrorDocument),
    (status = 507, description = "There is not enough memory for it", body = ErrorDocument)))]
pub(super) async fn load(
    State(state): State<EdgeState>,
    Extension(repository): Extension<Repository>,
    caller: Caller,
    request: Request,
) -> Result<Json<Loaded>, ApiError> {
    // Before the body is read: a caller with neither permission must not learn of errors in it.
    Permit::<MayManage>::check_any(&caller)
        .or_else(|forbidden| Permit::<MayPredict>::check_any(&caller).map_err(|_| forbidden))?;
    let LoadRequest { model_name, url } = parse_valid(&read_json(request).await?)?;
    let wrong = |pointer, message: String| {
        ApiError::InvalidBody(vec![FieldError::new(pointer, "wrong_value", message)])
    };
    let model: ModelName = model_name.parse().map_err(|error| wrong("/model_name", format!("{error}")))?;
    let is_loaded = state.serving.servable(&model, None).is_ok();
    let named = Some(model.as_str());
    let permit = match Permit::<MayManage>::check(&state, &caller, named, None) {
        Ok(permit) => Some(permit),
        Err(forbidden) => {
            let may_learn = is_loaded && Permit::<MayPredict>::check(&state, &caller, named, None).is_ok();
            if !may_learn {
                return Err(forbidden);
            }
            None
        }
    };
    if !repository.holds(&url, &model) {
        let message = "expected the path of this model in the repository (models.repository)".to_owned();
        return Err(wrong("/url", message));
    }
    let Some(permit) = permit.filter(|_| !is_loaded) else { return Err(already_loaded(&model)) };
    state.serving.load(&permit.model, false, &caller.for_history()).await.map_err(|error| match error {
        OperationError::Refused(refusal) => cannot_load(&refusal),
        other => other.into(),
    })?;
    Ok(Json(Loaded { model_name, model_url: url }))
}

/// Returns the error that tells SageMaker that the model is loaded, which it takes as success.
fn already_loaded(model: &ModelName) -> ApiError {
    let detail = format!("the model `{model}` is loaded already");
    ApiError::of_protocol(Problem::new(StatusCode::CONFLICT, "already_loaded", detail))
}

/// Returns the error of a refused load. It is not a conflict, which SageMaker takes for a loaded model.
fn cannot_load(refusal: &Refusal) -> ApiError {
    let status = match refusal.reason {
        Reason::InsufficientMemory | Reason::StorageUnavailable => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::BAD_REQUEST,
    };
    ApiError::of_protocol(Problem::new(status, refusal.reason.code(), refusal.to_string()))
}

/// An empty object.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unloaded {}

/// Unload a model until it is loaded again, for SageMaker
#[utoipa::path(delete, path = "/models/{model}", operation_id = "sagemaker_unload", tag = "platforms", security(("bearer" = ["manage"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")), responses(
    (status = 200, body = Unloaded),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `manage`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument)))]
pub(super) async fn unload(
    State(state): State<EdgeState>,
    permit: Permit<MayManage>,
    caller: Caller,
) -> Result<Json<Unloaded>, ApiError> {
    state.serving.unload(&permit.model, &caller.for_history()).await?;
    Ok(Json(Unloaded {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_itself_is_loaded_from_the_repository() {
        let repository = Repository::new(path::Path::new("/opt/models"));
        let model: ModelName = "iris".parse().unwrap();
        for good in ["/opt/models/iris", "/opt/models/iris/1/model.onnx", "/opt/models/iris.onnx"] {
            assert!(repository.holds(good, &model), "{good}");
        }
        for bad in [
            "",
            "/opt/models",
            "/opt/models/wine",
            "/opt/models/../models/iris",
            "/opt/models/iris/../../../etc",
            "iris",
            "/etc/passwd",
            "s3://bucket/iris",
            "file:///opt/models/iris",
        ] {
            assert!(!repository.holds(bad, &model), "{bad}");
        }
        let repository = Repository::new(path::Path::new("s3://bucket/live"));
        assert!(repository.holds("s3://bucket/live/iris/1", &model));
        for bad in [
            "s3://bucket/iris",
            "s3://other/live/iris",
            "/s3:/bucket/live/iris",
            "s3://bucket/live/../live/iris",
        ] {
            assert!(!repository.holds(bad, &model), "{bad}");
        }
    }
}
