//! Layers of every request, over REST and gRPC, each with its reason. Layers of REST alone are in `rest/layers.rs`, those
//! of gRPC in the `layers.rs` of its protocol.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::header,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use tower::{ServiceBuilder, util::option_layer};
use tower_http::{
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    trace::{DefaultOnFailure, TraceLayer},
};
use tracing::Level;

use super::{
    access::{Forwarded, RequestRecord},
    authenticate::{authenticate, charged_run},
    credentials::API_KEY,
    error::ApiError,
    observe::observe,
    pipeline::{Transport, identify, request_charge},
    rate_limit::{AddressLimit, charge_in_server},
    request_id::REQUEST_ID,
    shared::SharedLayer,
    state::EdgeState,
    tell_quotas::tell_quotas,
};
use crate::{auth::Caller, limits::Standing};

/// Adds the outermost layers: every request gets an id and is counted, even if it fails.
pub(crate) fn observed(
    routes: Router<EdgeState>,
    state: &EdgeState,
    transport: Transport,
) -> Router<EdgeState> {
    let layers = ServiceBuilder::new()
        .layer(SharedLayer)
        // An id for the log and the client.
        .map_request(identify)
        // No code that prints headers may print credentials.
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, API_KEY]))
        // One span per request, which holds all its events.
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(())
                .on_failure(DefaultOnFailure::new().level(Level::DEBUG)),
        )
        // Every response is logged and counted, those of the layers below included, and gets the standard headers.
        .layer(from_fn_with_state((state.clone(), transport), observe))
        .layer(SharedLayer);
    routes.layer(layers)
}

/// Adds the innermost layers: authentication and quotas.
pub(crate) fn authorized(
    routes: Router<EdgeState>,
    state: &EdgeState,
    address_limit: Option<&AddressLimit>,
) -> Router<EdgeState> {
    let layers = ServiceBuilder::new()
        .layer(SharedLayer)
        // Every response tells what is left of the quotas, whether or not the layers below refuse it.
        .layer(from_fn_with_state(state.clone(), tell_quotas))
        .layer(SharedLayer)
        // Before any token is verified: a guess costs as much as a valid request.
        .layer(option_layer(address_limit.and_then(AddressLimit::in_memory).map(AddressLimit::layer)))
        .layer(option_layer(
            address_limit
                .and_then(AddressLimit::in_server)
                .map(|limit| from_fn_with_state(limit, charge_in_server)),
        ))
        .layer(from_fn_with_state(state.clone(), authenticate))
        .layer(SharedLayer);
    routes.layer(layers)
}

/// Adds the layers for routes behind a platform that authenticates callers: no token is needed, and only predictions
/// are permitted.
pub(crate) fn authorized_by_platform(
    routes: Router<EdgeState>,
    state: &EdgeState,
    address_limit: Option<&AddressLimit>,
) -> Router<EdgeState> {
    let layers = ServiceBuilder::new()
        .layer(SharedLayer)
        .layer(from_fn_with_state(state.clone(), tell_quotas))
        .layer(SharedLayer)
        // The platform is a client like any other, so its requests must not overload the models.
        .layer(option_layer(address_limit.and_then(AddressLimit::in_memory).map(AddressLimit::layer)))
        .layer(option_layer(
            address_limit
                .and_then(AddressLimit::in_server)
                .map(|limit| from_fn_with_state(limit, charge_in_server)),
        ))
        .layer(from_fn_with_state(state.clone(), bypass_authorization));
    routes.layer(layers)
}

/// Refuses every request of these routes if another listener serves them.
pub(crate) fn served_by_admin(routes: Router<EdgeState>, is_moved: bool) -> Router<EdgeState> {
    if is_moved { routes.layer(from_fn(refuse_moved)) } else { routes }
}

async fn refuse_moved(_: Request, _: Next) -> ApiError {
    ApiError::ServedByAdmin
}

async fn bypass_authorization(State(state): State<EdgeState>, mut request: Request, next: Next) -> Response {
    let caller = Arc::new(Caller::of_platform());
    let charge = request_charge(&state, &caller, Standing::default());
    request.extensions_mut().insert(caller);
    charged_run(charge, request, next).await
}

fn span(request: &Request<impl Sized>) -> tracing::Span {
    let asked = RequestRecord {
        id: request.headers().get(REQUEST_ID),
        peer: request.extensions().get(),
        method: request.method().as_str(),
        path: request.uri().path(),
        caller: None,
        forwarded: Forwarded::Read(None),
    };
    asked.span()
}
