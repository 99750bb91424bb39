//! The gateway's public keys, for services that verify its tokens themselves.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::edge::{ApiError, EdgeState};

/// Media type of a JWK set (RFC 7517 section 8.5.2).
const MEDIA_TYPE: &str = "application/jwk-set+json";

/// Get the public keys of the tokens that the gateway signs
///
/// A JWK set (RFC 7517). It is empty if the gateway signs with a shared secret, or not at all.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "key_set", tag = "token", responses(
    (status = 200, description = "The keys", content_type = "application/jwk-set+json", body = Object,
        example = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "use": "sig", "alg": "EdDSA", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}))))]
pub(super) async fn key_set(State(state): State<EdgeState>) -> Result<Response, ApiError> {
    let keys = serde_json::to_vec(state.authentication.published_keys());
    let keys = keys.map_err(|_| ApiError::ResponseNotWritten)?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], keys).into_response())
}
