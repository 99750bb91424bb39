//! The gateway as a protected resource, which tells clients where tokens come from (RFC 9728).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

/// The path of the metadata (section 3).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The gateway by its URL for clients.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    url: String,
}

impl ProtectedResource {
    /// Creates the resource of a gateway that clients reach at this URL.
    #[must_use]
    pub fn new(public_url: &str) -> Self {
        Self { url: public_url.trim_end_matches('/').to_owned() }
    }

    /// Returns the URL, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Adds the URL of the metadata to the challenge of a response, if it has one (section 5.1).
    pub(super) fn complete_challenge(&self, response: &mut Response) {
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return;
        }
        let Some(challenge) = response.headers().get(header::WWW_AUTHENTICATE) else { return };
        let Some(challenge) = challenge.to_str().ok().filter(|text| text.starts_with("Bearer ")) else {
            return;
        };
        let completed = format!(r#"{challenge}, resource_metadata="{}{METADATA_PATH}""#, self.url);
        if let Ok(completed) = HeaderValue::from_str(&completed) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, completed);
        }
    }
}
