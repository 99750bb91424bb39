//! Liveness and readiness of the gateway.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::{ApiError, EdgeState, ProblemDocument},
    serving::Readiness,
    system::byte_budget::BudgetUse,
};

/// The state of the gateway.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, `alive` or `ready`
    #[schema(example = "ok")]
    status: &'static str,
    /// The version of the gateway
    #[schema(example = "0.1.0")]
    version: &'static str,
}

impl Health {
    fn new(status: &'static str) -> Json<Self> {
        Json(Self { status, version: env!("CARGO_PKG_VERSION") })
    }
}

/// Check that the gateway responds
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Health::new("ok")
}

/// The state of the gateway, for operators.
#[derive(Serialize)]
struct AdminHealth {
    status: &'static str,
    version: &'static str,
    memory: MemoryInFlight,
}

/// The memory of requests in flight.
#[derive(Serialize)]
struct MemoryInFlight {
    /// Bytes of bodies, of the tensors made from them, and of responses not yet sent.
    bytes_in_flight: u64,
    /// The limit for all requests together.
    bytes_in_flight_limit: u64,
    /// The limit for the requests of one client.
    bytes_in_flight_limit_of_one_client: u64,
    /// Requests refused for lack of memory since the start.
    refused_requests: u64,
}

/// Responds on the operators' listener, which may reveal more than the public one.
pub(super) async fn admin_health(State(state): State<EdgeState>) -> Response {
    let BudgetUse { total, taken, refused } = state.byte_budget.usage();
    let memory = MemoryInFlight {
        bytes_in_flight: taken,
        bytes_in_flight_limit: total,
        bytes_in_flight_limit_of_one_client: state.byte_budget.most_for_one(),
        refused_requests: refused,
    };
    Json(AdminHealth { status: "ok", version: env!("CARGO_PKG_VERSION"), memory }).into_response()
}

/// Check that the process is alive
///
/// For a liveness probe: restart a gateway that does not respond to this.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn live() -> Json<Health> {
    Health::new("alive")
}

/// Check that the gateway accepts requests
///
/// For a readiness probe: 503 while models are loaded at the start, when no model is in service, and before a stop.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, body = Health),
    (status = 503, body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn ready(State(state): State<EdgeState>) -> Response {
    match state.serving.readiness() {
        Readiness::Ready => Health::new("ready").into_response(),
        other => ApiError::NotReady(other).into_response(),
    }
}
