//! The layers around each method, with a reason for each. `operations::observed` lies outside, `operations::authorized`
//! inside.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    http::HeaderName,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use http_body_util::BodyExt;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    map_request_body::MapRequestBodyLayer,
    timeout::{RequestBodyDeadlineLayer, TimeoutError},
};

use super::body::{ChargedMessages, GRPC_ENCODING, charge_messages};
use crate::{
    auth::Caller,
    config::ServerSettings,
    edge::{
        AddressLimit, ApiError, EdgeState, Permission, Permit, SharedLayer, Transport, authorized, cause_of,
        grpc::{
            deadline::deadline,
            open_ended::end_with_gateway,
            render::{only_grpc, render_errors},
            status::status_of,
        },
        observed, panicked,
    },
    system::byte_budget::OverBudget,
};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Wraps the public routes. As with REST, `probes` are exempt from the quota of their address.
pub(super) fn public(
    routes: Router<EdgeState>,
    probes: Router<EdgeState>,
    state: &EdgeState,
    settings: &ServerSettings,
    address_limit: Option<&AddressLimit>,
) -> Router<EdgeState> {
    let routes = bounded(authorized(routes, state, address_limit).merge(probes), settings);
    observed(routes, state, Transport::Grpc)
}

/// Wraps routes in the layers that need no authentication.
fn bounded<S: Clone + Send + Sync + 'static>(routes: Router<S>, settings: &ServerSettings) -> Router<S> {
    let bounded = ServiceBuilder::new()
        .layer(SharedLayer)
        // Clients of another protocol get a response in HTTP, and their request is not read any further.
        .layer(from_fn(only_grpc))
        .layer(SharedLayer)
        // Errors of the layers below become gRPC statuses.
        .layer(from_fn(render_errors))
        .layer(SharedLayer)
        // A panic is an INTERNAL status, not a broken stream.
        .layer(CatchPanicLayer::custom(panicked))
        // A call ends at its client's deadline or the request timeout, so none holds resources for ever.
        .layer(from_fn_with_state(Duration::from_millis(settings.request_timeout_ms), deadline))
        .layer(SharedLayer)
        // Most clients advertise compression by default; only those that compress their request want a compressed
        // response.
        .map_request(compress_on_request);
    routes.layer(bounded)
}

/// Wraps methods that take one message of at most `max_bytes`, with a timeout for the body.
pub(super) fn unary(
    routes: Router<EdgeState>,
    state: &EdgeState,
    settings: &ServerSettings,
    max_bytes: u64,
) -> Router<EdgeState> {
    let routes = charged(routes, state, max_bytes);
    let bounded = ServiceBuilder::new()
        .layer(SharedLayer)
        .layer(RequestBodyDeadlineLayer::new(Duration::from_millis(settings.body_timeout_ms)))
        .layer(MapRequestBodyLayer::new(with_status));
    routes.layer(bounded)
}

/// Wraps methods that take messages, one or many: all of them are charged to the memory budget. A compressed one is
/// unpacked to at most `max_bytes`; the decoder limits the others.
pub(super) fn charged(routes: Router<EdgeState>, state: &EdgeState, max_bytes: u64) -> Router<EdgeState> {
    let messages = ChargedMessages { state: state.clone(), max_bytes };
    let charged = ServiceBuilder::new()
        .layer(SharedLayer)
        .layer(from_fn_with_state(messages, charge_messages))
        .layer(MapRequestBodyLayer::new(with_status));
    routes.layer(charged)
}

/// Wraps methods for callers that may do this with at least one model: messages of other callers are not read.
pub(super) fn permitted<P: Permission + 'static>(routes: Router<EdgeState>) -> Router<EdgeState> {
    routes.layer(from_fn(permit_any::<P>))
}

async fn permit_any<P: Permission>(request: Request, next: Next) -> Result<Response, ApiError> {
    let caller = request.extensions().get::<Arc<Caller>>().ok_or(ApiError::NoToken)?;
    Permit::<P>::check_any(caller)?;
    Ok(next.run(request).await)
}

/// Wraps methods whose response has no end.
pub(super) fn open_ended(routes: Router<EdgeState>) -> Router<EdgeState> {
    routes.layer(from_fn(end_with_gateway))
}

fn compress_on_request(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if headers.get(GRPC_ENCODING).is_none_or(|encoding| encoding == "identity") {
        headers.remove(GRPC_ACCEPT_ENCODING);
    }
    request
}

/// Converts a timeout or an exhausted budget of a body to a gRPC status, which the decoder passes on.
fn with_status<B>(body: B) -> Body
where
    B: HttpBody<Data = axum::body::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    Body::new(body.map_err(|error| {
        let error: axum::BoxError = error.into();
        if cause_of::<TimeoutError>(&*error).is_some() {
            Box::new(status_of(ApiError::BodyTimeout))
        } else if let Some(refused) = cause_of::<OverBudget>(&*error) {
            Box::new(status_of(ApiError::OverBudget(*refused)))
        } else {
            error
        }
    }))
}

#[cfg(test)]
mod tests {
    use axum::{
        http::{Response, StatusCode},
        routing::post,
    };
    use tower::ServiceExt;

    use super::*;

    async fn ask(routes: Router, path: &str, content_type: &str) -> Response<Body> {
        let routes = bounded(routes, &ServerSettings { request_timeout_ms: 50, ..ServerSettings::default() });
        let request = Request::post(path).header("content-type", content_type).body(Body::empty());
        routes.oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_a_status_of_grpc() {
        let routes = || {
            Router::new()
                .route("/panic", post(async || -> () { panic!("on purpose") }))
                .route("/never", post(async || std::future::pending::<()>().await))
                .route("/refused", post(async || StatusCode::TOO_MANY_REQUESTS))
        };
        for (path, code) in [("/panic", "13"), ("/never", "4"), ("/refused", "8"), ("/nothing", "5")] {
            let response = ask(routes(), path, "application/grpc").await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()["grpc-status"], code, "{path}");
            assert_eq!(response.headers()["content-type"], "application/grpc", "{path}");
        }
        let response = ask(routes(), "/panic", "text/plain").await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "nothing behind it was asked");
    }
}
