//! Tokens for clients: the OAuth 2 client credentials grant (RFC 6749 section 4.4).

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;
use validator::Validate;

use crate::{
    auth::Scopes,
    codec::other_encoding,
    config::Secret,
    edge::{ApiError, Audited, EdgeState, OAUTH_CODES, Problem, ProblemDocument, rest::body},
    limits::LogInError,
};

const GRANT_TYPE: &str = "client_credentials";

/// Maximum size of a field in bytes: an id, a secret, a list of scopes.
pub(super) const MAX_FIELD_BYTES: u64 = 1024;

/// The request for a token, as a form or as JSON. HTTP Basic authentication may carry the id and secret instead.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[schema(example = json!({"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret"}))]
pub(super) struct TokenRequest {
    /// Always `client_credentials`
    #[validate(length(max = MAX_FIELD_BYTES))]
    #[schema(example = "client_credentials")]
    grant_type: Option<String>,
    /// The client's id
    #[validate(length(max = MAX_FIELD_BYTES))]
    client_id: Option<String>,
    /// The client's secret
    #[validate(length(max = MAX_FIELD_BYTES))]
    #[schema(format = Password)]
    client_secret: Option<String>,
    /// Scopes separated by spaces; if absent, the token gets every scope of the client
    #[validate(length(max = MAX_FIELD_BYTES))]
    #[schema(example = "predict:iris")]
    scope: Option<String>,
}

/// A token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// The token, to be sent as `Authorization: Bearer TOKEN`
    access_token: String,
    /// Always `bearer`
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Lifetime in seconds
    #[schema(example = 3600)]
    expires_in: u64,
    /// The granted scopes
    #[schema(example = "predict read")]
    scope: String,
}

/// An error of the token endpoint (RFC 6749 section 5.2).
#[derive(Serialize, ToSchema)]
pub(super) struct TokenErrorAnswer {
    /// The stable error code of the RFC
    #[schema(example = "invalid_client")]
    error: &'static str,
    /// A sentence for people
    error_description: &'static str,
}

/// An error of the token endpoint.
pub(super) enum TokenFailure {
    InvalidRequest(&'static str),
    UnsupportedGrantType,
    InvalidClient,
    InvalidScope,
    /// A token of another client, or of another kind.
    NotOfClient(&'static str, &'static str),
    Overloaded,
    Unsigned,
    Disabled,
    Api(ApiError),
}

/// Get a token
///
/// OAuth 2 client credentials: send `client_id` and `client_secret` as a form, as JSON, or in HTTP Basic
/// authentication.
#[utoipa::path(post, path = "/token", tag = "token",
    request_body(content((TokenRequest = "application/x-www-form-urlencoded"), (TokenRequest = "application/json"))),
    responses(
        (status = 200, body = TokenAnswer),
        (status = 400, description = "The request is malformed or asks for scopes that the client may not have",
            body = TokenErrorAnswer),
        (status = 401, description = "The client is unknown or its secret wrong", body = TokenErrorAnswer),
        (status = 404, description = "No client is configured", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive within server.body_timeout_ms", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is neither a form nor JSON, or its encoding neither gzip nor deflate", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "The token cannot be signed", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "Too many log-ins are in progress", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn token(State(state): State<EdgeState>, request: Request) -> Response {
    let mut client = None;
    let outcome = grant(&state, request, &mut client).await;
    let refused = outcome.as_ref().err().map(TokenFailure::code);
    let mut response = match outcome {
        Ok(response) => (no_store(), Json(response)).into_response(),
        Err(failure) => failure.into_response(),
    };
    // Without a client, this was no log-in. A quota marks its own refusal.
    if client.is_some() && response.extensions().get::<Audited>().is_none() {
        response.extensions_mut().insert(Audited::log_in(client, refused));
    }
    response
}

/// Grants a token, and tells the client that asks for it as soon as it is known.
async fn grant(
    state: &EdgeState,
    request: Request,
    client: &mut Option<String>,
) -> Result<TokenAnswer, TokenFailure> {
    let authentication = &state.authentication;
    let Some(issuer) = authentication.issuer.as_ref().filter(|_| !authentication.clients.is_empty()) else {
        return Err(TokenFailure::Disabled);
    };
    let basic = basic_credentials(request.headers())?;
    let address = state.address(request.extensions(), request.headers());
    let asked: TokenRequest = read(request).await?;
    asked.validate().map_err(|_| TokenFailure::InvalidRequest("a field is longer than 1024 bytes"))?;
    match asked.grant_type.as_deref() {
        Some(GRANT_TYPE) => {}
        None => {
            return Err(TokenFailure::InvalidRequest("grant_type is missing: it must be client_credentials"));
        }
        Some(_) => return Err(TokenFailure::UnsupportedGrantType),
    }
    let (id, secret) = client_of(basic, asked.client_id, asked.client_secret)?;
    *client = Some(id.clone());
    let allowed = state.log_ins.authenticate(&authentication.clients, &id, secret, address).await?;
    let scopes = match asked.scope.as_deref().map(str::trim).filter(|scope| !scope.is_empty()) {
        None => allowed,
        Some(wanted) => {
            let wanted = Scopes::parse(wanted.split_whitespace()).map_err(|_| TokenFailure::InvalidScope)?;
            if !allowed.cover(&wanted) {
                return Err(TokenFailure::InvalidScope);
            }
            wanted
        }
    };
    let issued = issuer.issue(&id, scopes, state.clock.now(), None).map_err(|error| {
        tracing::error!(%error, "failed to sign a token");
        TokenFailure::Unsigned
    })?;
    tracing::info!(caller.subject = %id, scope = %issued.scopes, "a token was issued");
    Ok(TokenAnswer {
        access_token: issued.token,
        token_type: "bearer",
        expires_in: issued.expires_in,
        scope: issued.scopes.to_string(),
    })
}

/// Returns the id and the secret of the client, from the header or from the body.
pub(super) fn client_of(
    basic: Option<(String, String)>,
    id: Option<String>,
    secret: Option<String>,
) -> Result<(String, Secret), TokenFailure> {
    let (id, secret) = match (basic, id, secret) {
        (Some(_), _, Some(_)) => {
            return Err(TokenFailure::InvalidRequest(
                "the secret is given both in the header and in the body",
            ));
        }
        (Some((id, _)), Some(other), None) if id != other => {
            return Err(TokenFailure::InvalidRequest("client_id differs from the id in the header"));
        }
        (Some(credentials), _, None) => credentials,
        (None, Some(id), Some(secret)) => (id, secret),
        (None, _, _) => {
            return Err(TokenFailure::InvalidRequest("client_id and client_secret are required"));
        }
    };
    Ok((id, Secret::new(secret)))
}

/// Reads a form or JSON.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, TokenFailure> {
    let headers = request.headers().clone();
    let bytes = body::read(request.into_body()).await.map_err(TokenFailure::Api)?;
    if body::is_json(&headers) {
        return body::parse(&bytes).map_err(|_| {
            let form = "the body is not a JSON object of strings";
            TokenFailure::InvalidRequest(other_encoding(&bytes).unwrap_or(form))
        });
    }
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return serde_urlencoded::from_bytes(&bytes)
            .map_err(|_| TokenFailure::InvalidRequest("the form is malformed or has a field twice"));
    }
    Err(TokenFailure::Api(ApiError::unsupported_media_type(
        Some(content_type),
        "application/x-www-form-urlencoded (a form) or application/json",
        "application/x-www-form-urlencoded",
    )))
}

/// Reads id and secret from `Authorization: Basic`; each is form-encoded before they are joined (RFC 6749 section
/// 2.3.1).
pub(super) fn basic_credentials(headers: &HeaderMap) -> Result<Option<(String, String)>, TokenFailure> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(TokenFailure::InvalidRequest("there is more than one Authorization header"));
    }
    let malformed = TokenFailure::InvalidRequest("the Authorization header is not HTTP Basic authentication");
    let (scheme, encoded) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((id, secret)) if scheme.eq_ignore_ascii_case("basic") => {
            Ok(Some((form_decode(id), form_decode(secret))))
        }
        _ => Err(malformed),
    }
}

/// Decodes a form-encoded text; returns the text itself if it was not encoded.
fn form_decode(text: &str) -> String {
    // A bare `&` would end the value. All other characters that the encoding escapes are harmless.
    let pair = format!("v={}", text.replace('&', "%26"));
    let decoded: Option<Vec<(String, String)>> = serde_urlencoded::from_str(&pair).ok();
    decoded.and_then(|mut pairs| pairs.pop()).map_or_else(|| text.to_owned(), |(_, decoded)| decoded)
}

pub(super) fn no_store() -> [(header::HeaderName, HeaderValue); 2] {
    [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ]
}

impl TokenFailure {
    /// Returns the failure as a code, for the audit log.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidClient => "invalid_client",
            Self::InvalidScope => "invalid_scope",
            Self::NotOfClient(code, _) => code,
            Self::Overloaded => "overloaded",
            Self::Unsigned => "internal_error",
            Self::Disabled => "token_disabled",
            Self::Api(_) => "refused",
        }
    }
}

impl From<LogInError> for TokenFailure {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::Invalid => Self::InvalidClient,
            LogInError::Refused(exceeded) => Self::Api(ApiError::FailedLogIns(exceeded)),
            LogInError::Overloaded => Self::Overloaded,
        }
    }
}

impl IntoResponse for TokenFailure {
    fn into_response(self) -> Response {
        let (status, error, error_description) = match self {
            Self::InvalidRequest(what) => (StatusCode::BAD_REQUEST, "invalid_request", what),
            Self::UnsupportedGrantType => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type", "grant_type must be client_credentials")
            }
            Self::InvalidScope => (
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "the client may not have a scope that was asked for",
            ),
            Self::NotOfClient(error, what) => (StatusCode::BAD_REQUEST, error, what),
            Self::InvalidClient => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "unknown client or wrong secret")
            }
            Self::Overloaded => {
                let detail = "too many log-ins are in progress";
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
                return problem.with_retry_after(1).into_response();
            }
            Self::Unsigned => {
                let detail = "the token cannot be signed; the log says why";
                return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
                    .into_response();
            }
            Self::Disabled => {
                let detail = "the gateway issues no tokens, as no client is configured: send one of its operator \
                              (`onnx-gateway token`), of the output of `serve FILE`, or of the identity provider";
                return Problem::new(StatusCode::NOT_FOUND, "token_disabled", detail).into_response();
            }
            Self::Api(error) => return error.into_response(),
        };
        debug_assert!(OAUTH_CODES.contains(&error), "{error} is not in edge/codes.rs");
        let mut response =
            (status, no_store(), Json(TokenErrorAnswer { error, error_description })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(r#"Basic realm="onnx-gateway""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
