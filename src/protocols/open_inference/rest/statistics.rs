//! Inference statistics (extension `statistics`).

use axum::{Json, extract::State};

use crate::{
    auth::Caller,
    edge::{ApiError, EdgeState, ErrorDocument, MayRead, Permit},
    protocols::open_inference::operations,
    protocols::open_inference::wire::StatisticsDocument,
};

/// Get the statistics of all models since they were loaded
#[utoipa::path(get, path = "/v2/models/stats", operation_id = "statistics", tag = "open inference", security(("bearer" = ["read"])), responses(
    (status = 200, body = StatisticsDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument)))]
pub(in crate::protocols) async fn all(
    State(state): State<EdgeState>,
    caller: Caller,
) -> Result<Json<StatisticsDocument>, ApiError> {
    Ok(Json(StatisticsDocument { model_stats: operations::all_statistics(&state, &caller)? }))
}

/// Get the statistics of each version of a model since it was loaded
#[utoipa::path(get, path = "/v2/models/{model}/stats", operation_id = "model_statistics", tag = "open inference", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")), responses(
    (status = 200, body = StatisticsDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 503, description = "It is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn model(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<StatisticsDocument>, ApiError> {
    Ok(Json(StatisticsDocument { model_stats: operations::statistics(&state, &permit)? }))
}

/// Get the statistics of a version since it was loaded
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/stats", operation_id = "version_statistics", tag = "open inference",
    security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version that is in service, or a label", example = "1")),
    responses(
    (status = 200, body = StatisticsDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model or version", body = ErrorDocument),
    (status = 503, description = "The model is not in service", body = ErrorDocument)))]
pub(in crate::protocols) async fn version(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<StatisticsDocument>, ApiError> {
    Ok(Json(StatisticsDocument { model_stats: operations::statistics(&state, &permit)? }))
}
