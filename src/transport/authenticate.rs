//! The middleware that finds out who calls, before anything else looks at the request.
//!
//! It denies by default: every path needs a token but those of [`open_paths`](super::open_paths), whether or not there
//! is anything at that path.

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
    // For the access log, which is further out.
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

/// The error of a request that is not authenticated, charged to its address: what has too many of them is told to wait.
///
/// A token that is only over was signed for its caller, who is told so each time, to get another.
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

/// The token of the one `Authorization` header (RFC 6750 section 2.1). A token in the query is not accepted, as it
/// would stand in every log on the way; one beside the header is two ways at once (section 3.1).
fn bearer_token<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<&'r str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(ApiError::NoToken)?;
    let in_query = query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token=")));
    if values.next().is_some() || in_query {
        return Err(ApiError::TwoTokens);
    }
    // The scheme's name is case-insensitive (RFC 9110 section 11.1). Another scheme is no token at all.
    let (scheme, token) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim_start_matches(' '))
    } else {
        Err(ApiError::NoToken)
    }
}
