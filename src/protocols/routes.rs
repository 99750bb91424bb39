//! The routes of every listener but gRPC's, put together from those of the protocols.

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    middleware::from_fn,
    response::IntoResponse,
};
use tower::ServiceExt;

use super::{PROTOCOLS, claimants, console, docs, native};
use crate::{
    config::Settings,
    edge::{
        AddressLimit, ApiError, EdgeState, Protocol, Protocols, Routes, authorized, authorized_by_platform,
        rest::{header_rules::header_rules, layers},
    },
};

/// Returns the whole description: every route, body and error.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    docs::description(&Settings::default())
}

/// Returns the routes of the public listener in all their layers.
pub(super) fn public_router(
    state: &EdgeState,
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> Router {
    let is_chosen = |protocol: &&'static dyn Protocol| !protocol.chosen_paths(settings).is_empty();
    let (chosen, shared): (Vec<_>, Vec<_>) = PROTOCOLS.iter().partition(is_chosen);
    let others = docs::router(docs::description(settings)).merge(console::router(settings));
    let others = others.fallback(|| async { ApiError::NoSuchPath });
    let routes = layered(&shared, others, state, settings, address_limit);
    let routes = layers::public(routes, state, settings, claimants(settings)).with_state(state.clone());
    chosen.into_iter().fold(routes, |others, protocol| {
        mounted_before(others, protocol, state.clone(), settings, address_limit)
    })
}

/// Returns the routes of protocols in the layers that depend on their bodies and callers, with other routes of callers
/// beside them.
fn layered(
    protocols: &[&'static dyn Protocol],
    others: Router<EdgeState>,
    state: &EdgeState,
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> Router<EdgeState> {
    let server = &settings.server;
    let (mut closed, mut bypassing, mut open) = (others, Router::new(), Router::new());
    for protocol in protocols {
        let Routes { words, rows, tensors, platform_authenticates, probes } = protocol.routes(settings);
        let tensors = layers::large(tensors.into(), state, server);
        closed = closed.merge(layers::short(words.into(), state, server)).merge(layers::small(
            rows.into(),
            state,
            server,
        ));
        if platform_authenticates {
            bypassing = bypassing.merge(tensors);
        } else {
            closed = closed.merge(tensors);
        }
        open = open.merge(Router::from(probes));
    }
    authorized(closed, state, address_limit)
        .merge(authorized_by_platform(bypassing, address_limit))
        // Exempt from the address quota: a load balancer must not take the gateway for dead because other clients
        // behind the same address send too much.
        .merge(open)
        // The layers limit bodies; a second limit inside would only hide their response.
        .layer(DefaultBodyLimit::disable())
}

/// Mounts the paths that the operator chose for a protocol in front of all others. They may be those of other routes, so
/// they are matched first, and every other request passes on unchanged.
fn mounted_before(
    others: Router,
    protocol: &'static dyn Protocol,
    state: EdgeState,
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> Router {
    let passed_on = move |request: Request<Body>| {
        let others = others.clone();
        async move { others.oneshot(request).await.into_response() }
    };
    let routes = layered(&[protocol], Router::new(), &state, settings, address_limit);
    layers::public(routes, &state, settings, Protocols::new(protocol, &[]))
        .with_state(state)
        .method_not_allowed_fallback(passed_on.clone())
        .fallback(passed_on)
}

/// Returns the routes of the operators' listener.
pub fn admin_router(state: EdgeState) -> Router {
    native::admin_routes(state.metrics.is_on())
        .fallback(|| async { ApiError::NoSuchPath })
        .layer(from_fn(header_rules))
        .with_state(state)
}
