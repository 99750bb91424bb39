//! Strong entity tags, by which a client asks whether it has a content already (RFC 9110 section 8.8.3).

use axum::http::{HeaderMap, HeaderValue, header};

use crate::model::Digest;

/// The entity tag of a content: its digest in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(HeaderValue);

impl EntityTag {
    /// Creates the tag of this content.
    #[expect(clippy::expect_used, reason = "a digest is written in hexadecimal digits")]
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(HeaderValue::try_from(format!("\"{}\"", Digest::of(content))).expect("digits are a header"))
    }

    /// Returns the value of `ETag`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Returns true if the client has this content, by its `If-None-Match` (RFC 9110 section 13.1.2).
    pub(crate) fn is_known_to(&self, request: &HeaderMap) -> bool {
        let lists = request.get_all(header::IF_NONE_MATCH).into_iter();
        let mut tags = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
        tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.0.as_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_the_same_content_gets_no_other() {
        let (tag, other) = (EntityTag::of(b"{}"), EntityTag::of(b"[]"));
        let is_known = |value: String| {
            tag.is_known_to(&HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]))
        };
        let (own, others) = (tag.0.to_str().unwrap(), other.0.to_str().unwrap());
        for known in [own.to_owned(), format!("{others}, W/{own}"), "*".to_owned()] {
            assert!(is_known(known.clone()), "{known}");
        }
        for unknown in [others.to_owned(), own.trim_matches('"').to_owned(), String::new()] {
            assert!(!is_known(unknown.clone()), "{unknown}");
        }
    }
}
