//! What was counted, for operators.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    serving::Servable,
    system::byte_budget::BudgetUse,
    telemetry::ModelQueue,
    transport::{Problem, TransportState},
};

/// Prometheus text exposition format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(state): State<TransportState>) -> Response {
    let BudgetUse { total, taken, refused } = state.byte_budget.usage();
    state.metrics.set_bytes_in_flight(taken, total, refused);
    let queue = |servable: &Arc<Servable>| ModelQueue {
        model: servable.name.to_string(),
        version: servable.version.to_string(),
        waiting: servable.scheduler.requests_waiting(),
    };
    let queues: Vec<_> = state.serving.servables().iter().map(queue).collect();
    match state.metrics.encode(&queues) {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the metrics cannot be written")
                .into_response()
        }
    }
}
