//! Every route, on one page.

use axum::{Router, extract::DefaultBodyLimit, routing::get};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{deployments, docs, health, layers, metrics, models, open_inference, predict, token};
use crate::{
    config::ServerSettings,
    transport::{AddressLimit, ApiError, TransportState},
};

/// The description of everything that is described.
pub(super) fn description() -> utoipa::openapi::OpenApi {
    docs::completed(api().merge(inference()).merge(probes()).into_openapi())
}

/// What clients call.
fn api() -> OpenApiRouter<TransportState> {
    OpenApiRouter::with_openapi(docs::Description::openapi())
        .routes(routes!(predict::predict_default))
        .routes(routes!(predict::predict_model))
        .routes(routes!(predict::predict_version))
        .routes(routes!(token::token))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(deployments::history))
        .routes(routes!(deployments::rollback))
        .merge(open_inference::routes())
}

/// What takes tensors.
fn inference() -> OpenApiRouter<TransportState> {
    open_inference::inference()
}

/// What orchestrators and load balancers call.
fn probes() -> OpenApiRouter<TransportState> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .merge(open_inference::probes())
}

/// The public listener's routes in all their layers.
pub fn public_router(
    state: TransportState,
    settings: &ServerSettings,
    address_limit: Option<&AddressLimit>,
) -> Router {
    let routes = layers::small(api().into(), settings)
        .merge(layers::large(inference().into(), settings))
        .merge(docs::router(description()))
        .fallback(|| async { ApiError::NoSuchPath })
        // The layers limit bodies; a second limit inside would only hide their answer.
        .layer(DefaultBodyLimit::disable());
    layers::public(routes, probes().into(), &state, settings, address_limit).with_state(state)
}

/// The operators' listener's routes.
pub fn admin_router(state: TransportState) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(|| async { ApiError::NoSuchPath })
        .with_state(state)
}
