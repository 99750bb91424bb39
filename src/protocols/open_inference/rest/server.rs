//! Server metadata, liveness and readiness.

use axum::{Json, extract::State};

use crate::{
    auth::Caller,
    edge::{ApiError, EdgeState, ErrorDocument},
    protocols::open_inference::wire::{LiveDocument, ReadyDocument, ServerMetadata},
    serving::Readiness,
};

/// Get the server metadata
#[utoipa::path(get, path = "/v2", operation_id = "server_metadata", tag = "open inference", security(("bearer" = [])), responses(
    (status = 200, body = ServerMetadata),
    (status = 401, body = ErrorDocument)))]
pub(in crate::protocols) async fn metadata(_caller: Caller) -> Json<ServerMetadata> {
    Json(ServerMetadata::default())
}

/// Check that the server is alive
#[utoipa::path(get, path = "/v2/health/live", operation_id = "server_live", tag = "open inference",
    responses((status = 200, body = LiveDocument)))]
pub(in crate::protocols) async fn live() -> Json<LiveDocument> {
    Json(LiveDocument { live: true })
}

/// Check that the server accepts requests
#[utoipa::path(get, path = "/v2/health/ready", operation_id = "server_ready", tag = "open inference", responses(
    (status = 200, body = ReadyDocument),
    (status = 503, description = "It does not, with the reason", body = ErrorDocument)))]
pub(in crate::protocols) async fn ready(
    State(state): State<EdgeState>,
) -> Result<Json<ReadyDocument>, ApiError> {
    match state.serving.readiness() {
        Readiness::Ready => Ok(Json(ReadyDocument { ready: true })),
        other => Err(ApiError::NotReady(other)),
    }
}
