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
    config::{CorsSettings, Settings},
    edge::{
        AddressLimit, ApiError, EdgeState, ListedRoute, Protocol, Protocols, RouteSet, Routes, authorized,
        authorized_by_platform,
        rest::{header_rules::header_rules, layers},
        served_by_admin,
    },
};

/// Returns the whole description: every route, body and error.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    docs::description(&Settings::default())
}

/// Returns the routes of the public listener in all their layers, and the list of them.
pub(super) fn public_router(
    state: &EdgeState,
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> (Router, Vec<ListedRoute>) {
    let is_chosen = |protocol: &&'static dyn Protocol| !protocol.chosen_paths(settings).is_empty();
    let (chosen, shared): (Vec<_>, Vec<_>) = PROTOCOLS.iter().partition(is_chosen);
    let others = docs::router(docs::description(settings)).merge(console::router(settings));
    let mut build = Build { state, settings, address_limit, listed: Vec::new() };
    let others = others.listed_in(&mut build.listed).fallback(|| async { ApiError::NoSuchPath });
    let routes = build.layered(&shared, others);
    let routes = layers::public(routes, state, settings, claimants(settings)).with_state(state.clone());
    let routes = chosen.into_iter().fold(routes, |others, protocol| build.mounted_before(others, protocol));
    (routes, build.listed)
}

/// A router of the public listener that is being built.
struct Build<'s> {
    state: &'s EdgeState,
    settings: &'s Settings,
    address_limit: Option<&'s AddressLimit>,
    listed: Vec<ListedRoute>,
}

impl Build<'_> {
    /// Returns the routes of protocols in the layers that depend on their bodies and callers, with other routes of
    /// callers beside them.
    fn layered(
        &mut self,
        protocols: &[&'static dyn Protocol],
        others: Router<EdgeState>,
    ) -> Router<EdgeState> {
        let Self { state, settings, address_limit, listed } = self;
        let server = &settings.server;
        let (mut closed, mut bypassing, mut open) = (others, Router::default(), Router::default());
        for protocol in protocols {
            let Routes { words, rows, tensors, platform_authenticates, management, probes } =
                protocol.routes(settings);
            let tensors = layers::large(tensors.listed_in(listed), state, server);
            closed = closed.merge(layers::short(words.listed_in(listed), state, server));
            let management = layers::short(management.listed_in(listed), state, server);
            closed = closed.merge(served_by_admin(management, !settings.management_is_public()));
            closed = closed.merge(layers::small(rows.listed_in(listed), state, server));
            if platform_authenticates {
                bypassing = bypassing.merge(tensors);
            } else {
                closed = closed.merge(tensors);
            }
            open = open.merge(probes.listed_in(listed));
        }
        authorized(closed, state, *address_limit)
            .merge(authorized_by_platform(bypassing, state, *address_limit))
            // Exempt from the address quota: a load balancer must not take the gateway for dead because other clients
            // behind the same address send too much.
            .merge(open)
            // The layers limit bodies; a second limit inside would only hide their response.
            .layer(DefaultBodyLimit::disable())
    }

    /// Mounts the paths that the operator chose for a protocol in front of all others. They may be those of other
    /// routes, so they are matched first, and every other request passes on unchanged.
    fn mounted_before(&mut self, others: Router, protocol: &'static dyn Protocol) -> Router {
        let passed_on = move |request: Request<Body>| {
            let others = others.clone();
            async move { others.oneshot(request).await.into_response() }
        };
        let routes = self.layered(&[protocol], Router::default());
        layers::public(routes, self.state, self.settings, Protocols::new(protocol, &[]))
            .with_state(self.state.clone())
            .method_not_allowed_fallback(passed_on.clone())
            .fallback(passed_on)
    }
}

/// Returns the routes of the operators' listener, and the list of them.
pub(super) fn admin_router(state: &EdgeState, settings: &Settings) -> (Router, Vec<ListedRoute>) {
    let mut listed = Vec::new();
    let routes = native::admin_routes(state.metrics.is_on()).listed_in(&mut listed);
    let routes = routes.fallback(|| async { ApiError::NoSuchPath }).layer(from_fn(header_rules));
    let routes = if settings.management_is_public() {
        routes
    } else {
        routes.merge(management(state, settings, &mut listed))
    };
    (routes.with_state(state.clone()), listed)
}

/// Returns the routes that need `manage`, and those of tokens, in the layers of the public listener.
fn management(state: &EdgeState, settings: &Settings, listed: &mut Vec<ListedRoute>) -> Router<EdgeState> {
    let routes = PROTOCOLS.iter().map(|protocol| protocol.routes(settings).management);
    let routes = routes.fold(native::token_routes(), RouteSet::merge);
    let routes = layers::short(routes.listed_in(listed), state, &settings.server);
    let routes = authorized(routes, state, None).layer(DefaultBodyLimit::disable());
    // Pages of other origins are not for operators.
    let settings = Settings { cors: CorsSettings::default(), ..settings.clone() };
    layers::public(routes, state, &settings, claimants(&settings))
}
