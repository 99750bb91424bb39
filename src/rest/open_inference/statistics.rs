//! What models have answered so far (extension statistics).

use axum::{Json, extract::State};

use super::ErrorDocument;
use crate::{
    auth::{Action, Caller},
    serving::{BatchCounts, Servable, Total},
    transport::{ApiError, MayRead, Permit, TransportState},
    wire::open_inference::{
        BatchStatistics, DurationStatistics, InferenceStatistics, ModelStatistics, StatisticsDocument,
    },
};

/// What every model has answered since it was loaded
#[utoipa::path(get, path = "/v2/models/stats", tag = "open inference", security(("bearer" = ["read"])), responses(
    (status = 200, body = StatisticsDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument)))]
pub(super) async fn all(
    State(state): State<TransportState>,
    caller: Caller,
) -> Result<Json<StatisticsDocument>, ApiError> {
    if !caller.may(Action::Read, None) {
        return Err(ApiError::InsufficientScope { action: Action::Read, model: None });
    }
    let models = state.serving.servables().into_iter();
    let readable = models.filter(|servable| caller.may(Action::Read, Some(&servable.name)));
    Ok(Json(StatisticsDocument { model_stats: readable.map(|servable| of(&servable)).collect() }))
}

/// What each version of a model has answered since it was loaded
#[utoipa::path(get, path = "/v2/models/{model}/stats", tag = "open inference", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")), responses(
    (status = 200, body = StatisticsDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model", body = ErrorDocument),
    (status = 503, description = "It is not in service", body = ErrorDocument)))]
pub(super) async fn model(
    State(state): State<TransportState>,
    permit: Permit<MayRead>,
) -> Result<Json<StatisticsDocument>, ApiError> {
    // Says what is wrong if nothing serves.
    state.serving.servable(&permit.model, None)?;
    let models = state.serving.servables().into_iter();
    let versions = models.filter(|servable| servable.name == permit.model);
    Ok(Json(StatisticsDocument { model_stats: versions.map(|servable| of(&servable)).collect() }))
}

/// What a version of a model has answered since it was loaded
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/stats", tag = "open inference",
    security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version that is in service, or a label", example = "1")),
    responses(
    (status = 200, body = StatisticsDocument),
    (status = 401, body = ErrorDocument),
    (status = 403, description = "The token lacks the scope `read`", body = ErrorDocument),
    (status = 404, description = "There is no such model or version", body = ErrorDocument),
    (status = 503, description = "The model is not in service", body = ErrorDocument)))]
pub(super) async fn version(
    State(state): State<TransportState>,
    permit: Permit<MayRead>,
) -> Result<Json<StatisticsDocument>, ApiError> {
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    Ok(Json(StatisticsDocument { model_stats: vec![of(&servable)] }))
}

fn of(servable: &Servable) -> ModelStatistics {
    let counts = servable.statistics.counts();
    let batch = |(&batch_size, batch): (&usize, &BatchCounts)| BatchStatistics {
        batch_size,
        compute_input: total(&batch.input),
        compute_infer: total(&batch.infer),
        compute_output: total(&batch.output),
    };
    ModelStatistics {
        name: servable.name.to_string(),
        version: servable.version.to_string(),
        last_inference: counts.last_milliseconds(),
        inference_count: counts.inferences,
        execution_count: counts.executions,
        inference_stats: InferenceStatistics {
            success: total(&counts.success),
            fail: total(&counts.fail),
            queue: total(&counts.queue),
            compute_input: total(&counts.input),
            compute_infer: total(&counts.infer),
            compute_output: total(&counts.output),
            ..InferenceStatistics::default()
        },
        batch_stats: counts.batches.iter().map(batch).collect(),
        response_stats: serde_json::Map::new(),
        memory_usage: Vec::new(),
    }
}

fn total(total: &Total) -> DurationStatistics {
    DurationStatistics { count: total.count, ns: total.nanoseconds() }
}
