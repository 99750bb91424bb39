//! Every route, on one page.

use axum::{Router, extract::DefaultBodyLimit, routing::get};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{deployments, docs, health, layers, metrics, models, open_inference, predict, tensorflow, token};
use crate::{
    config::{DialectName, DialectSettings, Settings},
    transport::{AddressLimit, ApiError, TransportState, authorized, authorized_by_platform},
};

/// The description of everything that is described.
pub(super) fn description(dialects: &DialectSettings) -> utoipa::openapi::OpenApi {
    let asked = dialect_inference(dialects).into_iter().map(|(_, routes)| routes);
    let routes = asked.fold(api(dialects), OpenApiRouter::merge);
    docs::completed(routes.merge(inference()).merge(probes()).into_openapi())
}

/// What clients call.
fn api(dialects: &DialectSettings) -> OpenApiRouter<TransportState> {
    let mut routes = OpenApiRouter::with_openapi(docs::Description::openapi())
        .routes(routes!(predict::predict_default))
        .routes(routes!(predict::predict_model))
        .routes(routes!(predict::predict_version))
        .routes(routes!(token::token))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(deployments::history))
        .routes(routes!(deployments::rollback))
        .merge(open_inference::routes());
    if dialects.kserve_v1 {
        routes = routes.merge(tensorflow::routes());
    }
    routes
}

/// What takes tensors.
fn inference() -> OpenApiRouter<TransportState> {
    open_inference::inference()
}

/// What takes tensors in the dialects of other servers.
fn dialect_inference(dialects: &DialectSettings) -> Vec<(DialectName, OpenApiRouter<TransportState>)> {
    let mut routes = Vec::new();
    if dialects.kserve_v1 {
        routes.push((DialectName::KserveV1, tensorflow::inference()));
    }
    routes
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
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> Router {
    let Settings { server, dialects, .. } = settings;
    let mut closed = layers::small(api(dialects).into(), server)
        .merge(layers::large(inference().into(), server))
        .merge(docs::router(description(dialects)))
        .fallback(|| async { ApiError::NoSuchPath });
    let mut let_through = Router::new();
    for (name, routes) in dialect_inference(dialects) {
        let routes = layers::large(routes.into(), server);
        if dialects.authenticates(name) {
            let_through = let_through.merge(routes);
        } else {
            closed = closed.merge(routes);
        }
    }
    let routes = authorized(closed, &state, address_limit)
        .merge(authorized_by_platform(let_through, address_limit))
        // Spared the quota of their address: a load balancer must not take the gateway for dead because others behind
        // the same address ask too much.
        .merge(Router::from(probes()))
        // The layers limit bodies; a second limit inside would only hide their answer.
        .layer(DefaultBodyLimit::disable());
    layers::public(routes, &state, server).with_state(state)
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
