//! Everything that a request passes before its handler, on one page, each layer with its reason.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn, from_fn_with_state, map_request},
};
use tower::{ServiceBuilder, util::option_layer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    set_header::SetResponseHeaderLayer,
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
    trace::{DefaultOnFailure, DefaultOnResponse, TraceLayer},
};
use tracing::Level;

use super::{
    authenticate::authenticate,
    header_rules::header_rules,
    metrics,
    rate_limit::AddressLimit,
    render::{panicked, render_errors},
    request_id::{REQUEST_ID, RandomId, drop_unsound},
    state::RestState,
};
use crate::config::ServerSettings;

/// Wraps the public routes, outermost layer first. `probes` are spared the quota of their address: a load balancer must
/// not take the gateway for dead because others behind the same address ask too much.
pub(super) fn public(
    routes: Router<RestState>,
    probes: Router<RestState>,
    state: &RestState,
    settings: &ServerSettings,
    address_limit: Option<&AddressLimit>,
) -> Router<RestState> {
    let max_body_bytes = usize::try_from(settings.max_body_bytes).unwrap_or(usize::MAX);
    let observed = ServiceBuilder::new()
        // An id for the log and the client; one from the client only if a log can hold it.
        .layer(map_request(drop_unsound))
        .layer(SetRequestIdLayer::new(REQUEST_ID, RandomId))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        // Credentials must not be printed by whatever prints headers.
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]))
        // One span a request, which every event of it is in.
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                .on_failure(DefaultOnFailure::new().level(Level::DEBUG)),
        )
        // Every answer is counted, those of the layers below included.
        .layer(from_fn_with_state(state.clone(), metrics::count))
        // A browser must not guess that an answer is a page.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        // Whatever answers an error below, clients get it in the dialect of their path.
        .layer(from_fn(render_errors));
    let bounded = ServiceBuilder::new()
        // A panic is one answer of 500, not a connection cut off.
        .layer(CatchPanicLayer::custom(panicked))
        // No request holds resources for ever.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_millis(settings.request_timeout_ms),
        ))
        // Nor fills the memory, nor trickles in.
        .layer(RequestBodyLimitLayer::new(max_body_bytes))
        .layer(RequestBodyDeadlineLayer::new(Duration::from_millis(settings.body_timeout_ms)))
        .layer(MapRequestBodyLayer::new(Body::new))
        // What other readers on the way could take for another request.
        .layer(from_fn(header_rules));
    let authorized = ServiceBuilder::new()
        // Before anything is verified: guessing costs as much as asking.
        .layer(option_layer(address_limit.map(AddressLimit::layer)))
        // Who calls, and how much they may.
        .layer(from_fn_with_state(state.clone(), authenticate));
    routes.layer(authorized).merge(probes).layer(bounded).layer(observed)
}

fn span(request: &Request<impl Sized>) -> tracing::Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    // Of the highest level, so that it is there for every event however little is logged.
    tracing::error_span!(
        "request",
        id,
        method = %request.method(),
        path = request.uri().path(),
        caller.subject = tracing::field::Empty,
    )
}
