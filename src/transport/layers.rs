//! What every request passes, whichever transport it comes by, each layer with its reason. What only one of them has
//! around its handlers is in its own `layers`.

use std::sync::Arc;

use axum::{Router, extract::Request, http::header, middleware::from_fn_with_state};
use tower::{ServiceBuilder, util::option_layer};
use tower_http::{
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    trace::{DefaultOnFailure, TraceLayer},
};
use tracing::Level;

use super::{
    access::AskedBy,
    authenticate::authenticate,
    observe::observe,
    rate_limit::AddressLimit,
    request_id::{REQUEST_ID, RandomId, drop_unsound},
    shared::SharedLayer,
    state::TransportState,
};
use crate::auth::Caller;

/// The outermost layers: whatever happens to a request, it has an id and is counted.
pub(crate) fn observed(routes: Router<TransportState>, state: &TransportState) -> Router<TransportState> {
    let layers = ServiceBuilder::new()
        .layer(SharedLayer)
        // An id for the log and the client; one from the client only if a log can hold it.
        .map_request(drop_unsound)
        .layer(SetRequestIdLayer::new(REQUEST_ID, RandomId))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        // Credentials must not be printed by whatever prints headers.
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]))
        // One span a request, which every event of it is in.
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(())
                .on_failure(DefaultOnFailure::new().level(Level::DEBUG)),
        )
        // Every answer is logged and counted, those of the layers below included.
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(SharedLayer);
    routes.layer(layers)
}

/// The innermost layers: who calls, and how much they may.
pub(crate) fn authorized(
    routes: Router<TransportState>,
    state: &TransportState,
    address_limit: Option<&AddressLimit>,
) -> Router<TransportState> {
    let layers = ServiceBuilder::new()
        .layer(SharedLayer)
        // Before anything is verified: guessing costs as much as asking.
        .layer(option_layer(address_limit.map(AddressLimit::layer)))
        .layer(from_fn_with_state(state.clone(), authenticate))
        .layer(SharedLayer);
    routes.layer(layers)
}

/// The same where a platform in front knows who calls: no token is asked for, and nothing but predictions is permitted.
pub(crate) fn authorized_by_platform(
    routes: Router<TransportState>,
    address_limit: Option<&AddressLimit>,
) -> Router<TransportState> {
    let layers = ServiceBuilder::new()
        .layer(SharedLayer)
        // The platform is a client like any other: what it lets through must not overwhelm the models.
        .layer(option_layer(address_limit.map(AddressLimit::layer)))
        .map_request(let_through);
    routes.layer(layers)
}

fn let_through(mut request: Request) -> Request {
    request.extensions_mut().insert(Arc::new(Caller::of_platform()));
    request
}

fn span(request: &Request<impl Sized>) -> tracing::Span {
    let asked = AskedBy {
        id: request.headers().get(REQUEST_ID),
        peer: request.extensions().get(),
        method: request.method().as_str(),
        path: request.uri().path(),
        caller: None,
    };
    asked.span()
}
