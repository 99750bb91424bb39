//! Everything that a request passes before its handler, each layer with its reason: on top of this `transport::observed`,
//! below it `transport::authorized`, which probes are spared.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    map_request_body::MapRequestBodyLayer,
    set_header::SetResponseHeaderLayer,
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
};

use super::{
    decoding::{DecodingLayer, limited},
    render::{DialectOf, render_errors},
};
use crate::{
    config::ServerSettings,
    transport::{SharedLayer, TransportState, charge_bytes, observed, panicked},
};

/// The most bytes of a body where a few words are all that is asked: whoever has no token yet can hold no more.
const SHORT_BODY_BYTES: u64 = 16 * 1024;

/// Wraps routes that take a few words: a grant, a name, a parameter.
pub(super) fn short(
    routes: Router<TransportState>,
    state: &TransportState,
    settings: &ServerSettings,
) -> Router<TransportState> {
    with_bodies_up_to(settings.max_body_bytes.min(SHORT_BODY_BYTES), routes, state)
}

/// Wraps routes whose bodies are rows.
pub(super) fn small(
    routes: Router<TransportState>,
    state: &TransportState,
    settings: &ServerSettings,
) -> Router<TransportState> {
    with_bodies_up_to(settings.max_body_bytes, routes, state)
}

/// Wraps routes whose bodies are tensors, and may be compressed in the answer too.
pub(super) fn large(
    routes: Router<TransportState>,
    state: &TransportState,
    settings: &ServerSettings,
) -> Router<TransportState> {
    let routes = with_bodies_up_to(settings.max_tensor_body_bytes, routes, state);
    routes.layer(ServiceBuilder::new().layer(SharedLayer).layer(CompressionLayer::new()).layer(SharedLayer))
}

fn with_bodies_up_to(
    max_bytes: u64,
    routes: Router<TransportState>,
    state: &TransportState,
) -> Router<TransportState> {
    let max_bytes = bytes(max_bytes);
    let limited = ServiceBuilder::new()
        .layer(SharedLayer)
        // No body fills the memory, as it comes or decompressed: a small body may be a large one. What is wrong with a
        // body is said when it is read, so that nobody learns of it before it is known whether they may ask.
        .layer(MapRequestBodyLayer::new(move |body: Body| limited(body, max_bytes)))
        .layer(DecodingLayer { max_bytes })
        // Nor do all bodies and answers together; and nobody waits until a long one is read.
        .layer(from_fn_with_state(state.clone(), charge_bytes))
        .layer(SharedLayer);
    routes.layer(limited)
}

fn bytes(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

/// Wraps the public routes, whoever may call them.
pub(super) fn public(
    routes: Router<TransportState>,
    state: &TransportState,
    settings: &ServerSettings,
    dialect_of: DialectOf,
) -> Router<TransportState> {
    let bounded = ServiceBuilder::new()
        .layer(SharedLayer)
        // A browser must not guess that an answer is a page.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        // What other readers on the way could take for another request is refused. Whatever answers an error, clients
        // get it in the dialect of their path.
        .layer(from_fn(move |request, next| render_errors(dialect_of, request, next)))
        .layer(SharedLayer)
        // A panic is one answer of 500, not a connection cut off.
        .layer(CatchPanicLayer::custom(panicked))
        // No request holds resources for ever.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_millis(settings.request_timeout_ms),
        ))
        // Nor trickles in.
        .layer(RequestBodyDeadlineLayer::new(Duration::from_millis(settings.body_timeout_ms)))
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(SharedLayer);
    observed(routes.layer(bounded), state)
}
