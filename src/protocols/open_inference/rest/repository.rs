//! The model repository extension of the Open Inference Protocol, as Triton defines it: index, load, unload.
//!
//! The repository alone decides which files exist, so `load` takes neither a file nor a configuration. It tries the
//! files there again, even if they were refused, rolled back or unloaded before.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use crate::{
    auth::Caller,
    codec,
    edge::{ApiError, EdgeState, ErrorDocument, MayManage, Permit, rest::body::read},
    protocols::open_inference::operations::{self, Indexed},
};

/// The filter of an index request.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::protocols) struct IndexRequest {
    /// Only versions that are in service
    #[serde(default)]
    ready: Option<bool>,
}

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocols) struct IndexEntry {
    /// The model
    #[schema(example = "iris")]
    name: String,
    /// The version; for files in a wrong place the name of their folder, or empty
    #[schema(example = "1")]
    version: String,
    /// `READY`, `LOADING`, `UNLOADING` or `UNAVAILABLE`
    #[schema(example = "READY")]
    state: String,
    /// The reason why the file in the repository is not in service, or the step that it waits for
    #[schema(example = "golden_mismatch: golden case 1, output `label`: element 0 is 1, not 0")]
    reason: String,
}

/// Parameters of a load or unload.
#[derive(Debug, Default, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct RepositoryRequest {
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// The body of a load request, for the API description only.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::protocols) struct LoadRequestDocument {
    parameters: Option<LoadParameters>,
}

/// Parameters of a load.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoadParameters {
    /// Put the model into service even if that breaks callers of the version that it replaces
    #[schema(nullable = false)]
    allow_breaking_changes: Option<bool>,
}

/// The body of an unload request, for the API description only.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::protocols) struct UnloadRequestDocument {
    parameters: Option<UnloadParameters>,
}

/// Parameters of an unload.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UnloadParameters {
    /// Accepted without effect, since no model depends on another
    #[schema(nullable = false)]
    unload_dependents: Option<bool>,
}

/// An empty object.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocols) struct Done {}

/// List the models in the repository
#[utoipa::path(post, path = "/v2/repository/index", operation_id = "repository_index", tag = "repository", security(("bearer" = ["manage"])),
    request_body(content = Option<IndexRequest>, description = "May be empty"), responses(
    (status = 200, body = Vec<IndexEntry>),
    (status = 400, description = "The filter is not JSON, or has an unknown member", body = ErrorDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `manage`", body = ErrorDocument)))]
pub(in crate::protocols) async fn index(
    State(state): State<EdgeState>,
    caller: Caller,
    request: Request,
) -> Result<Json<Vec<IndexEntry>>, ApiError> {
    Permit::<MayManage>::check_any(&caller)?;
    let wanted: IndexRequest = optional_body(request.into_body()).await?;
    let shown = operations::index(&state, &caller, wanted.ready.unwrap_or_default())?;
    Ok(Json(shown.into_iter().map(entry).collect()))
}

/// Load a model from the repository, even if it was refused before
///
/// Responds when the model is in service, or with the reason why it is not.
#[utoipa::path(post, path = "/v2/repository/models/{model}/load", operation_id = "load_model", tag = "repository",
    security(("bearer" = ["manage"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    request_body(content = Option<LoadRequestDocument>, description = "May be empty"), responses(
    (status = 200, body = Done),
    (status = 400, description = "A parameter is unknown", body = ErrorDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `manage`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 409, description = "The newest version was refused, with the reason", body = ErrorDocument),
    (status = 504, description = "It takes longer than server.request_timeout_ms, and continues", body = ErrorDocument)))]
pub(in crate::protocols) async fn load(
    State(state): State<EdgeState>,
    permit: Permit<MayManage>,
    caller: Caller,
    request: Request,
) -> Result<Json<Done>, ApiError> {
    let RepositoryRequest { parameters } = optional_body(request.into_body()).await?;
    operations::load(&state, &permit, &caller, truths(&parameters.unwrap_or_default())).await?;
    Ok(Json(Done {}))
}

/// Unload a model until it is loaded again
#[utoipa::path(post, path = "/v2/repository/models/{model}/unload", operation_id = "unload_model", tag = "repository",
    security(("bearer" = ["manage"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    request_body(content = Option<UnloadRequestDocument>, description = "May be empty"), responses(
    (status = 200, body = Done),
    (status = 400, description = "A parameter is unknown", body = ErrorDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `manage`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument)))]
pub(in crate::protocols) async fn unload(
    State(state): State<EdgeState>,
    permit: Permit<MayManage>,
    caller: Caller,
    request: Request,
) -> Result<Json<Done>, ApiError> {
    let RepositoryRequest { parameters } = optional_body(request.into_body()).await?;
    operations::unload(&state, &permit, &caller, truths(&parameters.unwrap_or_default())).await?;
    Ok(Json(Done {}))
}

/// Returns the parameters, each with its value if that is true or false.
fn truths(parameters: &Map<String, Value>) -> impl Iterator<Item = (&str, Option<bool>)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_bool()))
}

/// Parses a JSON object; an empty body or null is the default. Clients do not declare the media type here.
async fn optional_body<T: DeserializeOwned + Default + Validate>(body: Body) -> Result<T, ApiError> {
    let bytes = read(body).await?;
    if matches!(codec::without_mark(&bytes).trim_ascii(), b"" | b"null") {
        Ok(T::default())
    } else {
        Ok(codec::parse_valid(&bytes)?)
    }
}

fn entry(Indexed { name, version, state, reason }: Indexed) -> IndexEntry {
    IndexEntry { name, version, state: state.to_string(), reason }
}
