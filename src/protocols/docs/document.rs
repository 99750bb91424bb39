//! A written API description, with the validator of its content (RFC 9110 section 8.8).

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use crate::model::Digest;

/// An API description, shared by all responses with it.
#[derive(Clone, Debug)]
pub(super) struct Document {
    json: Bytes,
    etag: HeaderValue,
}

impl Document {
    /// Creates a document of this text.
    #[expect(clippy::expect_used, reason = "a digest is written in hexadecimal digits")]
    pub(super) fn new(json: Vec<u8>) -> Self {
        let etag = HeaderValue::try_from(format!("\"{}\"", Digest::of(&json))).expect("digits are a header");
        Self { json: json.into(), etag }
    }

    /// Returns the length in bytes.
    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    /// Responds with the document, or with 304 if the client has it. `is_shared` is true if all clients get this one.
    pub(super) fn response(&self, request: &HeaderMap, is_shared: bool) -> Response {
        let cache = if is_shared { "no-cache" } else { "private, no-cache" };
        let headers = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
            // A token decides which models are described.
            (header::VARY, HeaderValue::from_static("authorization")),
        ];
        if self.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (headers, [json], Body::from(self.json.clone())).into_response()
    }

    /// Returns true if a client has this document, by its `If-None-Match` (RFC 9110 section 13.1.2).
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let lists = request.get_all(header::IF_NONE_MATCH).into_iter();
        let mut tags = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
        tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_the_same_content_gets_no_other() {
        let document = Document::new(b"{}".to_vec());
        let other = Document::new(b"[]".to_vec());
        let status = |value: String| {
            let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
            document.response(&request, true).status()
        };
        let (own, others) = (document.etag.to_str().unwrap(), other.etag.to_str().unwrap());
        for known in [own.to_owned(), format!("{others}, W/{own}"), "*".to_owned()] {
            assert_eq!(status(known.clone()), StatusCode::NOT_MODIFIED, "{known}");
        }
        for unknown in [others.to_owned(), own.trim_matches('"').to_owned(), String::new()] {
            assert_eq!(status(unknown.clone()), StatusCode::OK, "{unknown}");
        }
    }
}
