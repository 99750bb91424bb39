//! Every route, on one page.

use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn, routing::get};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    deployments,
    dialect::Dialect,
    docs,
    header_rules::header_rules,
    health,
    invocations::{self, EnabledDialects},
    layers, metrics, models, open_inference, predict,
    sagemaker::{self, Repository},
    tensorflow, token, vertex,
};
use crate::{
    config::{DialectName, DialectSettings, Settings},
    transport::{AddressLimit, ApiError, TransportState, authorized, authorized_by_platform},
};

/// Returns the whole description: every route, body and error.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    description(&Settings::default())
}

/// Returns the API description of all documented routes.
pub(super) fn description(settings: &Settings) -> utoipa::openapi::OpenApi {
    let asked = dialect_inference(&settings.dialects).into_iter().map(|(_, routes)| routes);
    let routes = asked.fold(predictions().merge(api(settings)), OpenApiRouter::merge);
    docs::completed(routes.merge(inference()).merge(probes(&settings.dialects)).into_openapi())
}

/// Returns the routes that take rows.
fn predictions() -> OpenApiRouter<TransportState> {
    OpenApiRouter::with_openapi(docs::Description::openapi())
        .routes(routes!(predict::predict_default))
        .routes(routes!(predict::predict_model))
        .routes(routes!(predict::predict_version))
}

/// Returns the routes that take no more than a few words.
fn api(settings: &Settings) -> OpenApiRouter<TransportState> {
    let mut routes = OpenApiRouter::new()
        .routes(routes!(token::token))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(deployments::history))
        .routes(routes!(deployments::rollback))
        .merge(open_inference::routes());
    if settings.dialects.kserve_v1 {
        routes = routes.merge(tensorflow::routes());
    }
    if settings.dialects.sagemaker {
        routes = routes.merge(sagemaker::routes(Repository::new(&settings.models.repository)));
    }
    routes
}

/// Returns the routes that take tensors.
fn inference() -> OpenApiRouter<TransportState> {
    open_inference::inference()
}

/// Returns the tensor routes of other servers' dialects, each with true if the platform in front authenticates callers.
fn dialect_inference(dialects: &DialectSettings) -> Vec<(bool, OpenApiRouter<TransportState>)> {
    let by_platform = |name| dialects.authenticates(name);
    let understood = EnabledDialects::new(dialects);
    let mut routes = Vec::new();
    if dialects.kserve_v1 {
        routes.push((by_platform(DialectName::KserveV1), tensorflow::inference()));
    }
    if dialects.mlflow || dialects.sagemaker {
        // Both share one path, so a caller that one of the platforms authenticates is accepted for both.
        let by_platform = (dialects.mlflow && by_platform(DialectName::Mlflow))
            || (dialects.sagemaker && by_platform(DialectName::Sagemaker));
        routes.push((by_platform, invocations::inference(understood)));
    }
    if dialects.sagemaker {
        routes.push((by_platform(DialectName::Sagemaker), sagemaker::inference(understood)));
    }
    routes
}

/// Returns the routes that orchestrators and load balancers probe.
fn probes(dialects: &DialectSettings) -> OpenApiRouter<TransportState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .merge(open_inference::probes());
    if dialects.mlflow || dialects.sagemaker {
        routes.merge(invocations::probes(EnabledDialects::new(dialects)))
    } else {
        routes
    }
}

/// Returns the routes of the public listener in all their layers.
pub(super) fn public_router(
    state: TransportState,
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> Router {
    let Settings { server, dialects, .. } = settings;
    let mut closed = layers::small(predictions().into(), &state, server)
        .merge(layers::short(api(settings).into(), &state, server))
        .merge(layers::large(inference().into(), &state, server))
        .merge(docs::router(description(settings)))
        .fallback(|| async { ApiError::NoSuchPath });
    let mut bypass_authorization = Router::new();
    for (by_platform, routes) in dialect_inference(dialects) {
        let routes = layers::large(routes.into(), &state, server);
        if by_platform {
            bypass_authorization = bypass_authorization.merge(routes);
        } else {
            closed = closed.merge(routes);
        }
    }
    let routes = authorized(closed, &state, address_limit)
        .merge(authorized_by_platform(bypass_authorization, address_limit))
        // Exempt from the address quota: a load balancer must not take the gateway for dead because other clients
        // behind the same address send too much.
        .merge(Router::from(probes(dialects)))
        // The layers limit bodies; a second limit inside would only hide their response.
        .layer(DefaultBodyLimit::disable());
    let routes = layers::public(routes, &state, server, Dialect::of).with_state(state.clone());
    vertex::mount_before(routes, state, settings, address_limit)
}

/// Returns the routes of the operators' listener.
pub fn admin_router(state: TransportState) -> Router {
    let counted = if state.metrics.is_on() {
        Router::new().route("/metrics", get(metrics::metrics))
    } else {
        Router::new()
    };
    counted
        .route("/health", get(health::admin_health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(|| async { ApiError::NoSuchPath })
        .layer(from_fn(header_rules))
        .with_state(state)
}
