//! Revocation of tokens: by the client that got them (RFC 7009), or by an operator.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::{FromRequestParts, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use validator::Validate;

use super::token::{
    MAX_FIELD_BYTES, TokenErrorAnswer, TokenFailure, basic_credentials, client_of, no_store, read,
};
use crate::{
    auth::{API_KEY_PREFIX, Action, Caller, RevokedBy, RevokedTokens, Which},
    codec::{FieldError, parse_valid},
    edge::{
        ApiError, Audited, EdgeState, MaybeCaller, Problem, ProblemDocument,
        rest::body::{is_json, read_json},
    },
};

/// Maximum size of an id or a subject in bytes: those of tokens that are accepted are shorter, or nearly so.
const MAX_NAME_BYTES: u64 = 1024;

/// Seconds after which a client may try again if there are too many revocations: some expire.
const RETRY_SECONDS: u64 = 60;

/// A request of a client to revoke its own token, as a form (RFC 7009 section 2.1). HTTP Basic authentication may carry
/// the id and secret.
#[derive(Deserialize, Validate, ToSchema)]
pub(super) struct ClientRevocation {
    /// The token
    token: Option<String>,
    /// Ignored, as there is one kind of token
    #[serde(rename = "token_type_hint")]
    #[schema(example = "access_token")]
    _token_type_hint: Option<String>,
    /// The client's id
    #[validate(length(max = MAX_FIELD_BYTES))]
    client_id: Option<String>,
    /// The client's secret
    #[validate(length(max = MAX_FIELD_BYTES))]
    #[schema(format = Password)]
    client_secret: Option<String>,
}

/// A request of an operator, as JSON: exactly one of `token`, `jti` and `subject`.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"subject": "shop"}))]
pub(super) struct Revocation {
    /// The token
    token: Option<String>,
    /// The id of the token
    #[validate(length(min = 1, max = MAX_NAME_BYTES, code = "wrong_length", message = "must have 1 to 1024 bytes"))]
    jti: Option<String>,
    /// The subject, all of whose tokens are revoked that were issued until now
    #[validate(length(min = 1, max = MAX_NAME_BYTES, code = "wrong_length", message = "must have 1 to 1024 bytes"))]
    subject: Option<String>,
    /// The issuer of `jti` or `subject`; absent: `auth.issuer`
    #[validate(length(min = 1, max = MAX_NAME_BYTES, code = "wrong_length", message = "must have 1 to 1024 bytes"))]
    issuer: Option<String>,
}

/// The result of a revocation.
#[derive(Serialize, ToSchema)]
pub(super) struct RevocationAnswer {
    /// False if the token was not valid anyway
    revoked: bool,
    /// False if the state directory cannot be written: the revocation is in effect, and would not survive a restart
    recorded: bool,
}

/// Revoke a token, or all tokens of a subject
///
/// A client revokes its own token with a form, as in RFC 7009: status 200 even if the token is not valid. A caller with
/// the scope `manage` for all models sends JSON.
#[utoipa::path(post, path = "/revoke", tag = "token",
    request_body(content((ClientRevocation = "application/x-www-form-urlencoded"), (Revocation = "application/json"))),
    responses(
        (status = 200, description = "It is revoked, or was not valid", body = RevocationAnswer),
        (status = 400, description = "The request is malformed, or the token is not of the client",
            content((TokenErrorAnswer = "application/json"), (ProblemDocument = "application/problem+json"))),
        (status = 401, description = "The client is unknown or its secret wrong, or the token is not valid",
            content((TokenErrorAnswer = "application/json"), (ProblemDocument = "application/problem+json"))),
        (status = 403, description = "The token lacks the scope `manage`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "Authentication is off, or no client is configured", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive within server.body_timeout_ms", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is neither a form nor JSON, or its encoding neither gzip nor deflate",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Too many revocations are in effect, or too many log-ins in progress",
            body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn revoke(State(state): State<EdgeState>, request: Request) -> Response {
    let mut client = None;
    let outcome = if !state.authentication.is_on() {
        let detail = "authentication is off (auth.enabled), so there is no token to revoke";
        let problem = Problem::new(StatusCode::NOT_FOUND, "token_disabled", detail);
        Err(TokenFailure::Api(ApiError::of_protocol(problem)))
    } else if is_json(request.headers()) {
        by_operator(&state, request).await.map_err(TokenFailure::Api)
    } else {
        by_client(&state, request, &mut client).await
    };
    match outcome {
        Ok(Done { answer, audited, caller }) => {
            let mut response = (no_store(), Json(answer)).into_response();
            if let Some(caller) = caller {
                // For the access log, which is an outer layer.
                response.extensions_mut().insert(caller);
            }
            if let Some(audited) = audited {
                response.extensions_mut().insert(audited);
            }
            response
        }
        Err(TokenFailure::InvalidClient) => {
            let failure = TokenFailure::InvalidClient;
            let audited = Audited::log_in(client, Some(failure.code()));
            let mut response = failure.into_response();
            response.extensions_mut().insert(audited);
            response
        }
        Err(failure) => failure.into_response(),
    }
}

/// A revocation that was carried out, or was not necessary.
struct Done {
    answer: RevocationAnswer,
    audited: Option<Audited>,
    /// The operator.
    caller: Option<Arc<Caller>>,
}

impl Done {
    fn not_valid() -> Self {
        Self { answer: RevocationAnswer { revoked: false, recorded: true }, audited: None, caller: None }
    }
}

/// Revokes the token of a client, and tells which client it is as soon as that is known.
async fn by_client(
    state: &EdgeState,
    request: Request,
    client: &mut Option<String>,
) -> Result<Done, TokenFailure> {
    let authentication = &state.authentication;
    if !authentication.gives_tokens() {
        return Err(TokenFailure::Disabled);
    }
    let basic = basic_credentials(request.headers())?;
    let address = state.address(request.extensions(), request.headers());
    let asked: ClientRevocation = read(request).await?;
    asked.validate().map_err(|_| TokenFailure::InvalidRequest("a field is longer than 1024 bytes"))?;
    let (id, secret) = client_of(basic, asked.client_id, asked.client_secret)?;
    *client = Some(id.clone());
    state.log_ins.authenticate(&authentication.clients, &id, secret, address).await?;
    let token = asked.token.ok_or(TokenFailure::InvalidRequest("token is missing"))?;
    if token.starts_with(API_KEY_PREFIX) {
        let what = "an API key is not revoked here: remove it from auth.api_keys";
        return Err(TokenFailure::NotOfClient("unsupported_token_type", what));
    }
    // A token that is not valid needs no revocation, and its client nothing but to forget it (RFC 7009 section 2.2).
    let Ok(of_token) = authentication.verify_any(&token, state.clock.now()).await else {
        return Ok(Done::not_valid());
    };
    if of_token.issuer != authentication.own_issuer() || of_token.subject != id {
        let what = "the token was issued to another client";
        return Err(TokenFailure::NotOfClient("invalid_grant", what));
    }
    let Some(tokens) = id_of(&of_token) else {
        let what = "the token has no jti, by which it could be revoked";
        return Err(TokenFailure::NotOfClient("unsupported_token_type", what));
    };
    let expires = of_token.valid_until;
    let revoked = named(&tokens.which);
    let answer = in_effect(state, tokens, RevokedBy::Client, expires).await.map_err(TokenFailure::Api)?;
    tracing::info!(caller.subject = %id, revoked, "a client revoked its token");
    Ok(Done { answer, audited: Some(Audited::revocation(Some(id), revoked)), caller: None })
}

async fn by_operator(state: &EdgeState, request: Request) -> Result<Done, ApiError> {
    let (mut parts, body) = request.into_parts();
    let MaybeCaller(caller) = MaybeCaller::from_request_parts(&mut parts, state).await?;
    let caller = caller.ok_or(ApiError::NoToken)?;
    if !caller.may_all(Action::Manage) {
        return Err(ApiError::InsufficientScope { action: Action::Manage, model: None });
    }
    let asked: Revocation = parse_valid(&read_json(Request::from_parts(parts, body)).await?)?;
    let authentication = &state.authentication;
    let issuer = || asked.issuer.clone().unwrap_or_else(|| authentication.own_issuer().to_owned());
    let (tokens, expires) = match (asked.token, asked.jti, asked.subject) {
        (Some(token), None, None) => match authentication.verify_any(&token, state.clock.now()).await {
            Ok(of_token) => {
                let tokens = id_of(&of_token).ok_or_else(|| {
                    wrong("/token", "the token has no jti: revoke all tokens of its subject with `subject`")
                })?;
                (tokens, of_token.valid_until)
            }
            Err(_) => return Ok(Done::not_valid()),
        },
        (None, Some(id), None) => (RevokedTokens { issuer: issuer(), which: Which::Id(id) }, None),
        (None, None, Some(subject)) => {
            (RevokedTokens { issuer: issuer(), which: Which::Subject(subject) }, None)
        }
        _ => {
            let message = "expected exactly one of `token`, `jti` and `subject`";
            return Err(ApiError::InvalidBody(vec![FieldError::new("", "exactly_one_of", message)]));
        }
    };
    let revoked = named(&tokens.which);
    let answer = in_effect(state, tokens, RevokedBy::Operator, expires).await?;
    tracing::warn!(caller.subject = caller.subject, revoked, "revoked tokens");
    Ok(Done { answer, audited: Some(Audited::revocation(None, revoked)), caller: Some(caller) })
}

fn named(which: &Which) -> String {
    match which {
        Which::Id(id) => format!("jti:{id}"),
        Which::Subject(subject) => format!("subject:{subject}"),
    }
}

/// Revokes tokens until they have expired, at the latest that any token does if their end is not known.
async fn in_effect(
    state: &EdgeState,
    tokens: RevokedTokens,
    by: RevokedBy,
    expires: Option<SystemTime>,
) -> Result<RevocationAnswer, ApiError> {
    let (now, longest) = (state.clock.now(), state.authentication.longest_token_validity());
    let expires =
        expires.unwrap_or_else(|| now.checked_add(longest).unwrap_or(now + Duration::from_hours(24)));
    let revocations = Arc::clone(state.authentication.revocations());
    revocations.revoke(tokens, by, now, expires).map_err(|error| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Problem::new(status, "too_many_revocations", error.to_string());
        ApiError::of_protocol(problem.with_retry_after(RETRY_SECONDS))
    })?;
    let saved = spawn_blocking(move || revocations.save(now)).await;
    let recorded = saved.is_ok_and(|saved| saved.is_ok());
    Ok(RevocationAnswer { revoked: true, recorded })
}

fn id_of(caller: &Caller) -> Option<RevokedTokens> {
    let which = Which::Id(caller.token_id()?.to_owned());
    Some(RevokedTokens { issuer: caller.issuer.clone(), which })
}

fn wrong(pointer: &'static str, message: &str) -> ApiError {
    ApiError::InvalidBody(vec![FieldError::new(pointer, "wrong_value", message.to_owned())])
}
