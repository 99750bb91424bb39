//! Models: list, metadata, readiness and configuration.

use axum::{Json, extract::State};

use crate::{
    auth::{Action, Caller},
    edge::{ApiError, EdgeState, ErrorDocument, MayRead, Permit},
    protocols::open_inference::{
        operations,
        wire::{ModelConfigDocument, ModelMetadataDocument, ModelNames, ModelReadyDocument},
    },
};

/// List the models in service
#[utoipa::path(get, path = "/v2/models", operation_id = "model_names", tag = "open inference", security(("bearer" = ["read"])), responses(
    (status = 200, body = ModelNames),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument)))]
pub(in crate::protocols) async fn names(
    State(state): State<EdgeState>,
    caller: Caller,
) -> Result<Json<ModelNames>, ApiError> {
    if !caller.may(Action::Read, None) {
        return Err(ApiError::InsufficientScope { action: Action::Read, model: None });
    }
    let names = state.serving.names().into_iter().filter(|name| caller.may(Action::Read, Some(name)));
    Ok(Json(ModelNames { models: names.map(|name| name.to_string()).collect() }))
}

/// Get the metadata of a model
#[utoipa::path(get, path = "/v2/models/{model}", operation_id = "model_metadata", tag = "open inference", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")), responses(
    (status = 200, body = ModelMetadataDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 503, description = "It is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn metadata(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelMetadataDocument>, ApiError> {
    Ok(Json(operations::metadata(&state, &permit)?))
}

/// Get the metadata of a version
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}", operation_id = "version_metadata", tag = "open inference",
    security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version that is in service, or a label", example = "1")),
    responses(
    (status = 200, body = ModelMetadataDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model or version", body = ErrorDocument),
    (status = 503, description = "The model is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn version_metadata(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelMetadataDocument>, ApiError> {
    Ok(Json(operations::metadata(&state, &permit)?))
}

/// Check that a model is ready
#[utoipa::path(get, path = "/v2/models/{model}/ready", operation_id = "model_ready", tag = "open inference", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")), responses(
    (status = 200, body = ModelReadyDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 503, description = "It is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn ready(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelReadyDocument>, ApiError> {
    ready_of(&state, &permit)
}

/// Check that a version is ready
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/ready", operation_id = "version_ready", tag = "open inference",
    security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version, or a label", example = "1")), responses(
    (status = 200, body = ModelReadyDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model or version", body = ErrorDocument),
    (status = 503, description = "The model is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn version_ready(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelReadyDocument>, ApiError> {
    ready_of(&state, &permit)
}

/// Get the configuration of a model, in the form of Triton's `ModelConfig`
#[utoipa::path(get, path = "/v2/models/{model}/config", operation_id = "model_config", tag = "open inference", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")), responses(
    (status = 200, body = ModelConfigDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 503, description = "It is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn config(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelConfigDocument>, ApiError> {
    Ok(Json(operations::config(&state, &permit)?))
}

/// Get the configuration of a version
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/config", operation_id = "version_config", tag = "open inference",
    security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version that is in service, or a label", example = "1")),
    responses(
    (status = 200, body = ModelConfigDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model or version", body = ErrorDocument),
    (status = 503, description = "The model is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn version_config(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelConfigDocument>, ApiError> {
    Ok(Json(operations::config(&state, &permit)?))
}

fn ready_of(state: &EdgeState, permit: &Permit<MayRead>) -> Result<Json<ModelReadyDocument>, ApiError> {
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    Ok(Json(ModelReadyDocument { name: servable.name.to_string(), ready: true }))
}
