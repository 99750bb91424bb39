//! What was done to a model, and taking it back.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    transport::{ApiError, MayManage, MayRead, Permit, ProblemDocument, TransportState},
    {auth::Caller, serving::HistoryEntry},
};

/// What serves after a rollback.
#[derive(Serialize, ToSchema)]
pub(super) struct RollbackAnswer {
    /// The model
    #[schema(example = "iris")]
    model: String,
    /// The version that serves again
    #[schema(example = "1")]
    version: String,
    /// The first 12 hex digits of the sha256 of its file
    digest: String,
    /// Those of the file that was taken back, if one served
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
}

/// Put the deployment before back into service
///
/// What is taken back does not come again by itself, not after a restart either: a newer file does, or a request to
/// load it.
#[utoipa::path(post, path = "/models/{model}/rollback", tag = "deployments", security(("bearer" = ["manage"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    responses(
        (status = 200, body = RollbackAnswer),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `manage`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "There is nothing to go back to", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn rollback(
    State(state): State<TransportState>,
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

/// What was done to a model.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryAnswer {
    /// The model
    #[schema(example = "iris")]
    model: String,
    /// The newest first: `time`, `version`, `event` (`deployed`, `restored`, `refused`, `rolled_back`, `unloaded`,
    /// `removed`, `kept`), `by`, and where they apply `digest`, `replaces`, `reason`, `detail`, `timings`
    #[schema(value_type = Vec<Object>)]
    history: Vec<HistoryEntry>,
}

/// What was done to a model, by whom, and how it ended
#[utoipa::path(get, path = "/models/{model}/history", tag = "deployments", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    responses(
        (status = 200, body = HistoryAnswer),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "Nothing is known of such a model", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn history(
    State(state): State<TransportState>,
    permit: Permit<MayRead>,
) -> Result<Json<HistoryAnswer>, ApiError> {
    let history = state.serving.history(&permit.model)?;
    Ok(Json(HistoryAnswer { model: permit.model.to_string(), history }))
}
