//! Middleware that authenticates the caller and charges its quota, before anything else reads the request.
//!
//! Denies by default: every path needs a token except those of [`OpenPaths`](super::OpenPaths), even if no route
//! matches the path.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{Extensions, HeaderMap, request::Parts},
    middleware::Next,
    response::Response,
};

use super::{
    credentials::{bearer, has_credentials},
    error::ApiError,
    pipeline::charge_caller,
    state::EdgeState,
};
use crate::auth::{Caller, TokenError};

/// Authenticates the caller and charges the quota of the caller, as middleware.
pub(super) async fn authenticate(
    State(state): State<EdgeState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if state.open_paths.contain(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let caller = caller(&state, request.headers(), request.uri().query())
        .map_err(|error| counted(error, &state, request.extensions(), request.headers()))?;
    tracing::Span::current().record("caller.subject", caller.subject.as_str());
    request.extensions_mut().insert(Arc::clone(&caller));
    let mut response = next.run(request).await;
    // For the access log, which is an outer layer.
    response.extensions_mut().insert(caller);
    Ok(response)
}

/// The caller of a path that needs no token; `None` if the request has none. Authenticated and charged like any other.
#[derive(Clone, Debug)]
pub(crate) struct MaybeCaller(pub(crate) Option<Arc<Caller>>);

impl FromRequestParts<EdgeState> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &EdgeState) -> Result<Self, ApiError> {
        let Parts { headers, uri, extensions, .. } = parts;
        if state.authentication.is_on() && !has_credentials(headers) {
            return Ok(Self(None));
        }
        let caller = caller(state, headers, uri.query());
        let caller = caller.map_err(|error| counted(error, state, extensions, headers))?;
        tracing::Span::current().record("caller.subject", caller.subject.as_str());
        Ok(Self(Some(caller)))
    }
}

fn caller(state: &EdgeState, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Caller>, ApiError> {
    let authentication = &state.authentication;
    if !authentication.is_on() {
        return Ok(Arc::clone(&state.anonymous));
    }
    let token = bearer(headers, query).map_err(|error| match error {
        ApiError::NoToken if !authentication.gives_tokens() => ApiError::NoTokenIssuer,
        error => error,
    })?;
    let caller = authentication.verify(token, state.clock.now())?;
    charge_caller(state, &caller)?;
    Ok(caller)
}

/// Charges the error of an unauthenticated request to its address. An address with too many of them gets 429 instead.
///
/// An expired token is exempt: it was signed for its caller, who has to learn each time that a new one is needed.
fn counted(error: ApiError, state: &EdgeState, extensions: &Extensions, headers: &HeaderMap) -> ApiError {
    let is_guess = match &error {
        ApiError::NoToken | ApiError::NoTokenIssuer => true,
        ApiError::BadToken(error) => *error != TokenError::Expired,
        _ => false,
    };
    let Some(failed_tokens) = state.failed_tokens.as_ref().filter(|_| is_guess) else {
        return error;
    };
    let address = state.address(extensions, headers);
    failed_tokens.charge(address).map_or_else(ApiError::FailedTokens, |()| error)
}
