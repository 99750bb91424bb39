//! Whether the gateway lives and whether requests should be sent to it.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    serving::Readiness,
    system::byte_budget::BudgetUse,
    transport::{ApiError, ProblemDocument, TransportState},
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

/// Whether the gateway answers
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
    /// Bytes of bodies, of tensors made of them, and of responses not yet taken.
    bytes_in_flight: u64,
    /// The most that they may be.
    bytes_in_flight_limit: u64,
    /// The most that the requests of one client may be.
    bytes_in_flight_limit_of_one_client: u64,
    /// Requests refused for want of room since the start.
    refused_requests: u64,
}

/// Answers the operators' listener, which may know more.
pub(super) async fn admin_health(State(state): State<TransportState>) -> Response {
    let BudgetUse { total, taken, refused } = state.byte_budget.usage();
    let memory = MemoryInFlight {
        bytes_in_flight: taken,
        bytes_in_flight_limit: total,
        bytes_in_flight_limit_of_one_client: state.byte_budget.most_for_one(),
        refused_requests: refused,
    };
    Json(AdminHealth { status: "ok", version: env!("CARGO_PKG_VERSION"), memory }).into_response()
}

/// Whether the process lives
///
/// For a liveness probe: a gateway that does not answer this should be restarted.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn live() -> Json<Health> {
    Health::new("alive")
}

/// Whether requests should be sent here
///
/// For a readiness probe: false while models are loaded at the start, when none serves, and before a stop.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, body = Health),
    (status = 503, body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn ready(State(state): State<TransportState>) -> Response {
    match state.serving.readiness() {
        Readiness::Ready => Health::new("ready").into_response(),
        other => ApiError::NotReady(other).into_response(),
    }
}
