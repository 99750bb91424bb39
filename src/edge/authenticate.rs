//! Middleware that authenticates the caller and charges its quota, before anything else reads the request.
//!
//! Denies by default: every path needs a token except those of [`OpenPaths`](super::OpenPaths), even if no route
//! matches the path.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    credentials::{bearer, has_credentials, has_query_token},
    error::ApiError,
    guarded_body::holding,
    pipeline::{Timed, charge_caller, enter, request_charge},
    state::EdgeState,
    tell_quotas::ChargeOfCaller,
};
use crate::{
    auth::{Caller, TokenError},
    limits::{Place, RequestCharge, Standing},
    telemetry::StepKind,
    tls::Encrypted,
};

/// Authenticates the caller and charges the quota of the caller, as middleware.
pub(super) async fn authenticate(State(state): State<EdgeState>, request: Request, next: Next) -> Response {
    let mut response = authenticated(&state, request, next).await.into_response();
    if let Some(resource) = &state.protected_resource {
        resource.complete_challenge(&mut response);
    }
    response
}

async fn authenticated(state: &EdgeState, mut request: Request, next: Next) -> Result<Response, ApiError> {
    if state.open_paths.contain(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let timed = Timed::begin(request.extensions().get());
    let caller = caller(state, request.headers(), request.uri().query(), request.extensions())
        .await
        .map_err(|error| counted(error, state, request.extensions(), request.headers()))?;
    let timed = timed.end(StepKind::Authentication);
    let admitted = admit(state, &caller).await;
    timed.end(StepKind::Quota);
    let Admission { standing, place } = match admitted {
        Ok(admission) => admission,
        Err(error) => {
            let mut response = error.into_response();
            // For the access log and the audit log, which are outer layers.
            response.extensions_mut().insert(caller);
            return Ok(response);
        }
    };
    record(&caller);
    request.extensions_mut().insert(Arc::clone(&caller));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let charge = request_charge(state, &caller, standing);
    let mut response = holding(charged_run(charge, request, next).await, place);
    if is_read {
        // A shared cache knows that responses to `Authorization` are of one caller, and not that those to other
        // credentials are (RFC 9111 section 3.5).
        let private = HeaderValue::from_static("private, no-cache");
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(private);
    }
    // For the access log, which is an outer layer.
    response.extensions_mut().insert(caller);
    Ok(response)
}

/// Runs a request whose rows are charged once they are known. The response has the charge, for the fields that tell of it.
pub(super) async fn charged_run(
    charge: Option<Arc<RequestCharge>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(charge) = charge else { return next.run(request).await };
    request.extensions_mut().insert(Arc::clone(&charge));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(ChargeOfCaller(charge));
    response
}

/// The caller of a path that needs no token; `None` if the request has none. Authenticated and charged like any other.
#[derive(Clone, Debug)]
pub(crate) struct MaybeCaller(pub(crate) Option<Arc<Caller>>);

impl FromRequestParts<EdgeState> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &EdgeState) -> Result<Self, ApiError> {
        let Parts { headers, uri, extensions, .. } = parts;
        let is_unknown = || certified(state, headers, extensions).is_none();
        if state.authentication.is_on() && !has_credentials(headers) && is_unknown() {
            return Ok(Self(None));
        }
        let caller = caller(state, headers, uri.query(), extensions).await;
        let caller = caller.map_err(|error| counted(error, state, extensions, headers))?;
        // Its place is free again at once: such a path does no work worth counting.
        admit(state, &caller).await?;
        record(&caller);
        Ok(Self(Some(caller)))
    }
}

/// Names the caller in the span of the request.
fn record(caller: &Caller) {
    let span = tracing::Span::current();
    span.record("caller.subject", caller.subject.as_str());
    span.record("caller.kind", caller.kind.name());
}

/// The charge of a request that may go on.
struct Admission {
    standing: Standing,
    /// The place of the request among those in progress; `None` if any number may be.
    place: Option<Place>,
}

/// Charges a request to its caller.
async fn admit(state: &EdgeState, caller: &Caller) -> Result<Admission, ApiError> {
    let place = enter(state, caller)?;
    let standing = charge_caller(state, caller).await?;
    Ok(Admission { standing, place })
}

/// Returns the caller that the credentials of a request identify.
async fn caller(
    state: &EdgeState,
    headers: &HeaderMap,
    query: Option<&str>,
    extensions: &Extensions,
) -> Result<Arc<Caller>, ApiError> {
    let authentication = &state.authentication;
    if !authentication.is_on() {
        return Ok(Arc::clone(&state.anonymous));
    }
    if let Some(caller) = certified(state, headers, extensions) {
        // RFC 6750 section 2: one method of authentication for each request.
        if has_query_token(query) {
            return Err(ApiError::TwoTokens);
        }
        return Ok(caller);
    }
    let token = bearer(headers, query).map_err(|error| match error {
        ApiError::NoToken if !authentication.gives_tokens() => ApiError::NoTokenIssuer,
        error => error,
    })?;
    Ok(authentication.verify(token, state.clock.now()).await?)
}

/// Returns the caller that the connection's certificate identifies; `None` if there is none, or the request has a token.
///
/// Requests of web pages need a token: a browser adds its certificate to the requests of any page, wanted or not.
fn certified(state: &EdgeState, headers: &HeaderMap, extensions: &Extensions) -> Option<Arc<Caller>> {
    let certificate = extensions.get::<Encrypted>()?.certificate()?;
    if has_credentials(headers) || is_of_page(headers) {
        return None;
    }
    let caller = state.authentication.by_certificate(certificate, state.clock.now());
    if caller.is_none() {
        let names: Vec<String> = certificate.names.iter().map(ToString::to_string).collect();
        let (subject, names) = (&certificate.subject, names.join(", "));
        tracing::debug!(subject, names, "a client certificate is of no caller in auth.certificates");
    }
    caller
}

/// The header by which a browser says whose page has caused a request, `none` for the user (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns true if a page in a browser may have caused the request. Requests of other pages do not all have `Origin`:
/// images and links have none.
fn is_of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.get_all(FETCH_SITE).iter().any(|site| site != "none")
}

/// Charges the error of an unauthenticated request to its address. An address with too many of them gets 429 instead.
///
/// An expired or revoked token is exempt: it was signed for its caller, who has to learn each time that a new one is
/// needed. One that cannot be judged is not bad.
fn counted(error: ApiError, state: &EdgeState, extensions: &Extensions, headers: &HeaderMap) -> ApiError {
    let is_guess = match &error {
        ApiError::NoToken | ApiError::NoTokenIssuer => true,
        ApiError::BadToken(error) => {
            !matches!(error, TokenError::Expired | TokenError::Revoked | TokenError::KeysUnavailable { .. })
        }
        _ => false,
    };
    let Some(failed_tokens) = state.failed_tokens.as_ref().filter(|_| is_guess) else {
        return error;
    };
    let address = state.address(extensions, headers);
    failed_tokens.charge(address).map_or_else(ApiError::FailedTokens, |()| error)
}
