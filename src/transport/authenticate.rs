//! Middleware that charges and authenticates the caller, before anything else reads the request.
//!
//! Denies by default: every path needs a token except those of [`open_paths`](super::open_paths), even if no route
//! matches the path.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

use super::{
    error::ApiError,
    open_paths::is_open,
    pipeline::{bearer, charge_address, charge_caller},
    rate_limit::AddressLimit,
    state::TransportState,
};
use crate::auth::{Caller, TokenError};

/// The state of the middleware.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<(TransportState, Option<AddressLimit>)>);

impl Gate {
    pub(super) fn new(state: &TransportState, address_limit: Option<&AddressLimit>) -> Self {
        Self(Arc::new((state.clone(), address_limit.cloned())))
    }
}

/// Charges the quota of the client's address, as middleware.
pub(super) async fn charge_client(
    State(limit): State<AddressLimit>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    charge_address(Some((&limit, limit.client(request.extensions(), request.headers()))))?;
    Ok(next.run(request).await)
}

/// Charges both quotas and authenticates the caller, as middleware.
pub(super) async fn authenticate(
    State(Gate(gate)): State<Gate>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (state, limit) = &*gate;
    let address = limit.as_ref().map(|limit| (limit, limit.client(request.extensions(), request.headers())));
    charge_address(address)?;
    if is_open(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let caller = caller(state, request.headers(), request.uri().query())
        .map_err(|error| counted(error, state, &request))?;
    tracing::Span::current().record("caller.subject", caller.subject.as_str());
    request.extensions_mut().insert(Arc::clone(&caller));
    let mut response = next.run(request).await;
    // For the access log, which is an outer layer.
    response.extensions_mut().insert(caller);
    Ok(response)
}

fn caller(state: &TransportState, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Caller>, ApiError> {
    let Some(verifier) = &state.authentication.verifier else {
        return Ok(Arc::new(Caller::anonymous()));
    };
    let caller = verifier.verify(bearer(headers, query)?, state.clock.now())?;
    charge_caller(state, &caller)?;
    Ok(caller)
}

/// Charges the error of an unauthenticated request to its address. An address with too many of them gets 429 instead.
///
/// An expired token is exempt: it was signed for its caller, who has to learn each time that a new one is needed.
fn counted(error: ApiError, state: &TransportState, request: &Request) -> ApiError {
    let is_guess = match &error {
        ApiError::NoToken => true,
        ApiError::BadToken(error) => *error != TokenError::Expired,
        _ => false,
    };
    let Some(failed_tokens) = state.failed_tokens.as_ref().filter(|_| is_guess) else {
        return error;
    };
    let address = state.address(request.extensions(), request.headers());
    failed_tokens.charge(address).map_or_else(ApiError::FailedTokens, |()| error)
}
