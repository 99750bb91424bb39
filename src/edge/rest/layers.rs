//! Layers of a REST request before its handler, each with its reason. `edge::observed` goes around these, and
//! `edge::authorized`, which probes skip, inside them.

use std::{convert::Infallible, future::ready, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::Response,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, DefaultPredicate, Predicate},
    map_request_body::MapRequestBodyLayer,
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
};

use super::{
    cors,
    decoding::{DecodingLayer, limited},
    render::render_errors,
};
use crate::{
    config::{ServerSettings, Settings},
    edge::{EdgeState, Protocols, SharedLayer, Transport, charge_bytes, observed, panicked},
};

/// Maximum body for routes that take a few words, so that a client without a token can hold little memory.
const SHORT_BODY_BYTES: u64 = 16 * 1024;

/// Wraps routes that take a few words: a grant, a name, a parameter.
pub(crate) fn short(
    routes: Router<EdgeState>,
    state: &EdgeState,
    settings: &ServerSettings,
) -> Router<EdgeState> {
    with_bodies_up_to(settings.max_body_bytes.min(SHORT_BODY_BYTES), routes, state)
}

/// Wraps routes whose bodies are rows.
pub(crate) fn small(
    routes: Router<EdgeState>,
    state: &EdgeState,
    settings: &ServerSettings,
) -> Router<EdgeState> {
    with_bodies_up_to(settings.max_body_bytes, routes, state)
}

/// Wraps routes whose bodies are tensors, and whose responses may be compressed.
pub(crate) fn large(
    routes: Router<EdgeState>,
    state: &EdgeState,
    settings: &ServerSettings,
) -> Router<EdgeState> {
    let routes = with_bodies_up_to(settings.max_tensor_body_bytes, routes, state);
    routes.layer(ServiceBuilder::new().layer(SharedLayer).layer(CompressionLayer::new()).layer(SharedLayer))
}

/// Compresses a response as the layer of [`large`] does, if a request with these headers accepts it.
pub(crate) async fn compressed(request: &HeaderMap, mut response: Response) -> Response {
    if !request.contains_key(header::ACCEPT_ENCODING) {
        // The layer would pass it on, and only say that others are compressed. `tests/it/fast_path.rs` compares both.
        if DefaultPredicate::new().should_compress(&response) {
            response.headers_mut().append(header::VARY, header::ACCEPT_ENCODING.into());
        }
        return response;
    }
    let mut wrapped = Request::new(response);
    for coding in request.get_all(header::ACCEPT_ENCODING) {
        wrapped.headers_mut().append(header::ACCEPT_ENCODING, coding.clone());
    }
    let respond = service_fn(|wrapped: Request<Response>| ready(Ok::<_, Infallible>(wrapped.into_body())));
    match CompressionLayer::new().layer(respond).oneshot(wrapped).await {
        Ok(response) => response.map(Body::new),
    }
}

fn with_bodies_up_to(max_bytes: u64, routes: Router<EdgeState>, state: &EdgeState) -> Router<EdgeState> {
    let max_bytes = bytes(max_bytes);
    let limited = ServiceBuilder::new()
        .layer(SharedLayer)
        // No body may fill the memory, as sent or decompressed: a small body can be a large one. Errors of a body
        // appear only when it is read, so callers without permission do not learn of them.
        .layer(MapRequestBodyLayer::new(move |body: Body| limited(body, max_bytes)))
        .layer(DecodingLayer { max_bytes })
        // Nor may all bodies and responses together, and a long one must not delay other requests.
        .layer(from_fn_with_state(state.clone(), charge_bytes))
        .layer(SharedLayer);
    routes.layer(limited)
}

fn bytes(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

/// Wraps the public routes, whether or not they need a token.
pub(crate) fn public(
    routes: Router<EdgeState>,
    state: &EdgeState,
    settings: &Settings,
    protocols: Protocols,
) -> Router<EdgeState> {
    let server = &settings.server;
    let bounded = ServiceBuilder::new()
        .layer(SharedLayer)
        // Refuses what another reader on the way could take for a different request. Any error is then rendered in the
        // protocol of its path.
        .layer(from_fn(move |request, next| render_errors(protocols, request, next)))
        .layer(SharedLayer)
        // A panic becomes one response of 500, not a dropped connection.
        .layer(CatchPanicLayer::custom(panicked))
        // No request may hold resources for ever.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_millis(server.request_timeout_ms),
        ))
        // Nor may a body trickle in.
        .layer(RequestBodyDeadlineLayer::new(Duration::from_millis(server.body_timeout_ms)))
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(SharedLayer);
    let routes = routes.layer(bounded);
    // Outside of all that refuses, so that a page can read errors too. A preflight request ends here.
    let routes = match cors::layer(&settings.cors) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    observed(routes, state, Transport::Rest)
}
