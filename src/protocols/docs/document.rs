//! A written API description, with the validator of its content (RFC 9110 section 8.8).

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use crate::edge::rest::entity_tag::EntityTag;

/// An API description, shared by all responses with it.
#[derive(Clone, Debug)]
pub(super) struct Document {
    json: Bytes,
    tag: EntityTag,
}

impl Document {
    /// Creates a document of this text.
    pub(super) fn new(json: Vec<u8>) -> Self {
        Self { tag: EntityTag::of(&json), json: json.into() }
    }

    /// Returns the length in bytes.
    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    /// Responds with the document, or with 304 if the client has it. `is_shared` is true if all clients get this one.
    pub(super) fn response(&self, request: &HeaderMap, is_shared: bool) -> Response {
        let cache = if is_shared { "no-cache" } else { "private, no-cache" };
        let headers = [
            (header::ETAG, self.tag.header()),
            (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
            // A token or an API key decides which models are described.
            (header::VARY, HeaderValue::from_static("authorization, x-api-key")),
        ];
        if self.tag.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (headers, [json], Body::from(self.json.clone())).into_response()
    }
}
