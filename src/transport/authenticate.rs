//! Middleware that authenticates the caller, before anything else reads the request.
//!
//! Denies by default: every path needs a token except those of [`open_paths`](super::open_paths), even if no route
//! matches the path.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};

use super::{error::ApiError, open_paths::is_open, state::TransportState};
use crate::auth::{Caller, TokenError};

pub(crate) async fn authenticate(
    State(state): State<TransportState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if is_open(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let caller = caller(&state, request.headers(), request.uri().query())
        .map_err(|error| counted(error, &state, &request))?;
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
    let token = bearer_token(headers, query)?;
    let caller = verifier.verify(token, state.clock.now())?;
    if let Some(quota) = &state.caller_quota {
        quota.charge(&caller).map_err(ApiError::CallerQuota)?;
    }
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

/// Returns the token of the only `Authorization` header (RFC 6750 section 2.1). A token in the query is not accepted,
/// as every log on the way would store it. One beside the header is a second method (section 3.1).
fn bearer_token<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<&'r str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(ApiError::NoToken)?;
    let in_query = query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token=")));
    if values.next().is_some() || in_query {
        return Err(ApiError::TwoTokens);
    }
    // The scheme's name is case-insensitive (RFC 9110 section 11.1). Another scheme counts as no token.
    let (scheme, token) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim_start_matches(' '))
    } else {
        Err(ApiError::NoToken)
    }
}
