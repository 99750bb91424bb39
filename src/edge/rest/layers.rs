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
    let routes = bounded(routes, &settings.server, protocols);
    // Outside of all that refuses, so that a page can read errors too. A preflight request ends here.
    let routes = match cors::layer(&settings.cors) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    observed(routes, state, Transport::Rest)
}

/// Wraps routes in the layers that need no state.
fn bounded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    server: &ServerSettings,
    protocols: Protocols,
) -> Router<S> {
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
    routes.layer(bounded)
}

#[cfg(test)]
mod tests {
    use axum::{
        http::Method,
        routing::{get, post},
    };
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::edge::{MEDIA_TYPE, Protocol, Routes};

    /// A protocol with problem documents, or with the errors of most others.
    #[derive(Debug)]
    struct Spoken {
        has_problems: bool,
    }

    impl Protocol for Spoken {
        fn claims(&self, _: &Method, _: &str) -> bool {
            true
        }

        fn routes(&self, _: &Settings) -> Routes {
            Routes::default()
        }

        fn error_document(&self, _: StatusCode, sentence: &str) -> Option<Value> {
            (!self.has_problems).then(|| json!({"error": sentence}))
        }
    }

    async fn ask(protocol: &'static Spoken, path: &str) -> (StatusCode, String, Value) {
        let routes = Router::new()
            .route("/panic", get(async || -> () { panic!("on purpose") }))
            .route("/never", get(async || std::future::pending::<()>().await))
            .route("/post", post(async || ()));
        let server = ServerSettings { request_timeout_ms: 50, ..ServerSettings::default() };
        let routes = bounded(routes, &server, Protocols::new(protocol, &[]));
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        let (status, kind) =
            (response.status(), response.headers()["content-type"].to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_a_document_of_the_protocol() {
        static PROBLEMS: Spoken = Spoken { has_problems: true };
        static SENTENCES: Spoken = Spoken { has_problems: false };
        for (path, status, code) in [
            ("/panic", 500, "internal_error"),
            ("/never", 504, "timeout"),
            ("/post", 405, "method_not_allowed"),
            ("/nothing", 404, "not_found"),
        ] {
            let (came, kind, body) = ask(&PROBLEMS, path).await;
            assert_eq!(
                (came.as_u16(), kind.as_str(), &body["code"]),
                (status, MEDIA_TYPE, &json!(code)),
                "{path}"
            );
            assert!(!body.to_string().contains("on purpose"), "the cause is in the log: {body}");
            let (came, kind, body) = ask(&SENTENCES, path).await;
            assert_eq!((came.as_u16(), kind.as_str()), (status, "application/json"), "{path}");
            assert!(body["error"].is_string() && !body.to_string().contains("on purpose"), "{path}: {body}");
        }
    }
}
