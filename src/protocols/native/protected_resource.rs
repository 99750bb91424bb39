//! The metadata by which clients find out where tokens come from (RFC 9728).

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::edge::{ApiError, EdgeState, Problem, ProblemDocument};

/// The metadata of a protected resource (RFC 9728 section 2).
#[derive(Serialize, ToSchema)]
pub(super) struct ProtectedResourceMetadata {
    /// The URL of this gateway
    #[schema(example = "https://models.example.com")]
    resource: String,
    /// A name for people
    #[schema(example = "onnx-gateway")]
    resource_name: &'static str,
    /// The issuers whose tokens are accepted
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["https://login.example.com/realms/models"]))]
    authorization_servers: Vec<String>,
    /// The scopes; each may be narrowed to a model, as in `predict:iris`
    #[schema(example = json!(["predict", "read", "manage"]))]
    scopes_supported: [&'static str; 3],
    /// The ways of sending a token
    #[schema(example = json!(["header"]))]
    bearer_methods_supported: [&'static str; 1],
    /// The documentation
    #[schema(example = "https://models.example.com/docs")]
    resource_documentation: String,
}

/// Find out where tokens come from
///
/// The metadata of a protected resource (RFC 9728), if `server.public_url` is set. Responses without a valid token name
/// its URL.
#[utoipa::path(get, path = "/.well-known/oauth-protected-resource", operation_id = "protected_resource", tag = "token",
    responses(
        (status = 200, description = "The metadata", body = ProtectedResourceMetadata),
        (status = 404, description = "server.public_url is not set", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn protected_resource(State(state): State<EdgeState>) -> Result<Response, ApiError> {
    let Some(resource) = &state.protected_resource else {
        let detail = "the URL of this gateway for clients is not set: server.public_url";
        return Err(ApiError::of_protocol(Problem::new(StatusCode::NOT_FOUND, "not_found", detail)));
    };
    // An identifier that is not a URL names no server.
    let is_url = |issuer: &&str| issuer.starts_with("https://") || issuer.starts_with("http://");
    let url = resource.url();
    let metadata = ProtectedResourceMetadata {
        resource: url.to_owned(),
        resource_name: "onnx-gateway",
        authorization_servers: state.authentication.issuers().filter(is_url).map(str::to_owned).collect(),
        scopes_supported: ["predict", "read", "manage"],
        bearer_methods_supported: ["header"],
        resource_documentation: format!("{url}/docs"),
    };
    Ok(Json(metadata).into_response())
}
