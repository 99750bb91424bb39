//! Model list, status and metadata.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    target::Target,
    wire::{MetadataDocument, ModelStatusDocument, VersionStatusDocument},
};
use crate::{
    auth::{Action, Caller},
    edge::{ApiError, EdgeState, ErrorDocument, MayRead},
    model::VersionSelector,
    protocols::open_inference::wire::ModelNames,
    serving::{VersionState, VersionStatus},
};

/// List the models in service
#[utoipa::path(get, path = "/v1/models", operation_id = "tensorflow_names", tag = "tensorflow", security(("bearer" = ["read"])), responses(
    (status = 200, body = ModelNames),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument)))]
pub(super) async fn names(
    State(state): State<EdgeState>,
    caller: Caller,
) -> Result<Json<ModelNames>, ApiError> {
    if !caller.may(Action::Read, None) {
        return Err(ApiError::InsufficientScope { action: Action::Read, model: None });
    }
    let names = state.serving.names().into_iter().filter(|name| caller.may(Action::Read, Some(name)));
    Ok(Json(ModelNames { models: names.map(|name| name.to_string()).collect() }))
}

macro_rules! status {
    ($($name:ident, $path:literal, $summary:literal, ($($param:tt)*);)*) => {
        $(
            #[doc = $summary]
            #[utoipa::path(get, path = $path, operation_id = concat!("tensorflow_", stringify!($name)), tag = "tensorflow", security(("bearer" = ["read"])),
                params(("model" = String, Path, description = "The model's name", example = "iris") $($param)*),
                responses(
                (status = 200, body = ModelStatusDocument),
                (status = 401, body = ErrorDocument),
                (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
                (status = 404, description = "There is no such model or version", body = ErrorDocument),
                (status = 503, description = "It is not in service", body = ErrorDocument)))]
            pub(super) async fn $name(
                state: State<EdgeState>,
                caller: Caller,
                target: Target,
            ) -> Result<Response, ApiError> {
                status_of(&state, &caller, &target)
            }
        )*
    };
}

status! {
    status, "/v1/models/{model}", "Get the status of a model's versions", ();
    version_status, "/v1/models/{model}/versions/{version}", "Get the status of a version",
        (, ("version" = String, Path, description = "A version", example = "1"));
    label_status, "/v1/models/{model}/labels/{label}", "Get the status of a labelled version",
        (, ("label" = String, Path, description = "A label of a version", example = "canary"));
}

macro_rules! metadata {
    ($($name:ident, $path:literal, $summary:literal, ($($param:tt)*);)*) => {
        $(
            #[doc = $summary]
            #[utoipa::path(get, path = $path, operation_id = concat!("tensorflow_", stringify!($name)), tag = "tensorflow", security(("bearer" = ["read"])),
                params(("model" = String, Path, description = "The model's name", example = "iris") $($param)*),
                responses(
                (status = 200, body = MetadataDocument),
                (status = 401, body = ErrorDocument),
                (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
                (status = 404, description = "There is no such model or version", body = ErrorDocument),
                (status = 503, description = "It is not in service", body = ErrorDocument)))]
            pub(super) async fn $name(
                state: State<EdgeState>,
                caller: Caller,
                target: Target,
            ) -> Result<Json<MetadataDocument>, ApiError> {
                metadata_of(&state, &caller, &target)
            }
        )*
    };
}

metadata! {
    metadata, "/v1/models/{model}/metadata", "Get the signature of a model", ();
    version_metadata, "/v1/models/{model}/versions/{version}/metadata", "Get the signature of a version",
        (, ("version" = String, Path, description = "A version that is in service", example = "1"));
    label_metadata, "/v1/models/{model}/labels/{label}/metadata",
        "Get the signature of a labelled version",
        (, ("label" = String, Path, description = "A label of a version", example = "canary"));
}

fn status_of(state: &EdgeState, caller: &Caller, target: &Target) -> Result<Response, ApiError> {
    if target.verb()?.is_some() {
        return target.other_method();
    }
    let permit = target.permit::<MayRead>(state, caller)?;
    // Fails with the reason if no version is in service.
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    let is_meant = |status: &&VersionStatus| {
        let named = match &permit.version {
            None => true,
            Some(VersionSelector::Number(number)) => status.version == *number,
            Some(VersionSelector::Label(_)) => status.version == servable.version,
        };
        named && status.model == *permit.model
    };
    let versions = state.serving.status().iter().filter(is_meant).map(version).collect();
    let document =
        ModelStatusDocument { name: permit.model.to_string(), ready: true, model_version_status: versions };
    Ok(Json(document).into_response())
}

fn version(status: &VersionStatus) -> VersionStatusDocument {
    let state = match status.state {
        VersionState::Loading => "LOADING",
        VersionState::Ready => "AVAILABLE",
        VersionState::Unloading => "UNLOADING",
        VersionState::Unavailable => "END",
    };
    // A version in service is well, even if a newer file of it was refused.
    let refusal = status.refusal.as_ref().filter(|_| status.state == VersionState::Unavailable);
    VersionStatusDocument::new(status.version.to_string(), state, refusal.map(ToString::to_string))
}

fn metadata_of(
    state: &EdgeState,
    caller: &Caller,
    target: &Target,
) -> Result<Json<MetadataDocument>, ApiError> {
    if target.verb()?.is_some() {
        return Err(ApiError::NoSuchPath);
    }
    let permit = target.permit::<MayRead>(state, caller)?;
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    let (name, version) = (servable.name.to_string(), servable.version.to_string());
    Ok(Json(MetadataDocument::new(name, version, &servable.signature)))
}
