//! Deployment history and rollback.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    edge::{ApiError, EdgeState, MayManage, MayRead, Permit, ProblemDocument},
    serving::HistoryEntry,
};

/// The result of a rollback.
#[derive(Serialize, ToSchema)]
pub(super) struct RollbackAnswer {
    /// The model
    #[schema(example = "iris")]
    model: String,
    /// The version that serves again
    #[schema(example = "1")]
    version: String,
    /// The first 12 hex digits of the SHA-256 of the file that serves again
    digest: String,
    /// The first 12 hex digits of the SHA-256 of the file that was rolled back, if one was in service
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
}

/// Roll back a model to its previous deployment
///
/// A rolled-back file does not return by itself, not even after a restart. It takes a newer file, or a request to load
/// the model.
#[utoipa::path(post, path = "/models/{model}/rollback", tag = "deployments", security(("bearer" = ["manage"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    responses(
        (status = 200, body = RollbackAnswer),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `manage`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "There is no deployment to roll back to", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn rollback(
    State(state): State<EdgeState>,
    permit: Permit<MayManage>,
    caller: Caller,
) -> Result<Json<RollbackAnswer>, ApiError> {
    let done = state.serving.roll_back(&permit.model, &caller.for_history()).await?;
    Ok(Json(RollbackAnswer {
        model: permit.model.to_string(),
        version: done.version.to_string(),
        digest: done.digest.short(),
        replaces: done.replaces.map(|digest| digest.short()),
    }))
}

/// The deployment history of a model.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryAnswer {
    /// The model
    #[schema(example = "iris")]
    model: String,
    /// The entries, newest first: `time`, `version`, `event` (`deployed`, `restored`, `refused`, `rolled_back`,
    /// `unloaded`, `removed`, `kept`), `by`, `digest` (null for files that were refused before they were hashed, such as
    /// truncated ones), and where they apply `replaces`, `reason`, `detail`, `timings`
    #[schema(value_type = Vec<Object>)]
    history: Vec<HistoryEntry>,
}

/// List the deployments of a model, with their authors and outcomes
#[utoipa::path(get, path = "/models/{model}/history", tag = "deployments", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    responses(
        (status = 200, body = HistoryAnswer),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn history(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<HistoryAnswer>, ApiError> {
    let history = state.serving.history(&permit.model)?;
    Ok(Json(HistoryAnswer { model: permit.model.to_string(), history }))
}
