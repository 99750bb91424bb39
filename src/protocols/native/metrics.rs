//! The metrics endpoint, for operators.

use std::{str, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    edge::{EdgeState, Problem},
    serving::Servable,
    system::byte_budget::BudgetUse,
    telemetry::ModelInService,
};

/// Prometheus text exposition format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(state): State<EdgeState>) -> Response {
    let BudgetUse { total, taken, refused } = state.byte_budget.usage();
    state.metrics.set_bytes_in_flight(taken, total, refused);
    let keys = state.authentication.api_keys().map(|key| (key.id, key.last_use, key.expires));
    state.metrics.set_api_keys(keys);
    let servables = state.serving.servables();
    match state.metrics.encode(servables.iter().map(in_service)) {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to write the metrics");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "the metrics could not be written",
            )
            .into_response()
        }
    }
}

fn in_service(servable: &Arc<Servable>) -> ModelInService<'_> {
    let scheduler = &servable.scheduler;
    ModelInService {
        model: servable.name.as_str(),
        // Always digits.
        version: str::from_utf8(&servable.stamp.version).unwrap_or_default(),
        digest: str::from_utf8(&servable.stamp.digest).unwrap_or_default(),
        schedule: &servable.schedule,
        waiting: scheduler.was_used().then(|| scheduler.requests_waiting()),
    }
}
