//! Places that the keys of an issuer are fetched from, and the fetch.

use serde::Deserialize;

use super::published_keys::{KeySetError, PublishedKeys, shown};
use crate::{
    config::Algorithm,
    outbound::{FetchError, Fetched, SourceUrl, fetch},
};

/// Largest key set or discovery document in bytes; those of large providers have 20 KB.
const MAX_BYTES: usize = 1024 * 1024;

/// The path of the discovery document below the issuer's URL (section 4 of `OpenID` Connect Discovery 1.0).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// The place of a key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// The URL of the set.
    KeySet(SourceUrl),
    /// The URL of the issuer's discovery document, which names that of the set.
    Discovery(SourceUrl),
}

/// A reason why there are no new keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFetchError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("there was no complete response within {0} s")]
    Timeout(u64),
    #[error("the discovery document is not JSON with `issuer` and `jwks_uri`: {0}")]
    NotDiscovery(String),
    #[error("the discovery document is of the issuer `{0}`, not of that in the settings")]
    OtherIssuer(String),
    #[error(
        "the discovery document names keys at another origin than its own, or not by https: if they are to be trusted, set \
         jwks_url to their URL in the place of discovery"
    )]
    OtherOrigin,
    #[error("the response {0}")]
    KeySet(#[from] KeySetError),
}

impl KeyFetchError {
    /// Returns the kind of error, for metrics and to see when it changes.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Fetch(FetchError::Unreachable(_)) => "unreachable",
            Self::Fetch(FetchError::Broken(_) | FetchError::Compressed) => "broken",
            Self::Fetch(FetchError::Redirected(_) | FetchError::Status(_)) => "status",
            Self::Fetch(FetchError::TooLarge(_)) => "too_large",
            Self::Timeout(_) => "timeout",
            Self::NotDiscovery(_) | Self::OtherIssuer(_) | Self::OtherOrigin => "discovery",
            Self::KeySet(_) => "malformed",
        }
    }
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

impl Location {
    /// Returns the place that `discovery` names: `true` for the issuer's own, or the URL of an issuer.
    ///
    /// # Errors
    ///
    /// The reason why it is not such a place.
    pub(super) fn of_discovery(discovery: &str, issuer: &str) -> Result<Self, String> {
        let base = if discovery == "true" { issuer } else { discovery };
        let base = base.strip_suffix(DISCOVERY_PATH).unwrap_or(base).trim_end_matches('/');
        let url = format!("{base}{DISCOVERY_PATH}").parse();
        url.map(Self::Discovery).map_err(|error| {
            if discovery == "true" {
                format!("is true, but the issuer `{issuer}` {error}")
            } else {
                format!("{error}, or true for that of the issuer")
            }
        })
    }

    /// Fetches the keys.
    pub(super) async fn keys(
        &self,
        issuer: &str,
        allowed: &[Algorithm],
    ) -> Result<(PublishedKeys, Fetched), KeyFetchError> {
        let found;
        let url = match self {
            Self::KeySet(url) => url,
            Self::Discovery(url) => {
                let document = fetch(url, MAX_BYTES).await?;
                found = key_set_of(&document.body, issuer, url)?;
                &found
            }
        };
        let fetched = fetch(url, MAX_BYTES).await?;
        let keys = PublishedKeys::parse(&fetched.body, allowed)?;
        Ok((keys, fetched))
    }
}

/// Returns the URL of the key set that a discovery document from this URL names. The document must be that of the issuer
/// (section 4.3), and the set of the same origin.
fn key_set_of(document: &[u8], issuer: &str, from: &SourceUrl) -> Result<SourceUrl, KeyFetchError> {
    let document: DiscoveryDocument = serde_json::from_slice(document)
        .map_err(|error| KeyFetchError::NotDiscovery(shown(&error.to_string())))?;
    if document.issuer != issuer {
        return Err(KeyFetchError::OtherIssuer(shown(&document.issuer)));
    }
    let url: SourceUrl = document.jwks_uri.parse().map_err(|_| KeyFetchError::OtherOrigin)?;
    if url.has_origin_of(from) { Ok(url) } else { Err(KeyFetchError::OtherOrigin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_is_found_below_the_issuer() {
        let url = |discovery: &str, issuer: &str| match Location::of_discovery(discovery, issuer) {
            Ok(Location::Discovery(url)) => url.to_string(),
            other => format!("{other:?}"),
        };
        let expected = "https://a.example/realms/b/.well-known/openid-configuration";
        assert_eq!(url("true", "https://a.example/realms/b"), expected);
        assert_eq!(url("true", "https://a.example/realms/b/"), expected, "an issuer may end with a slash");
        assert_eq!(url("https://a.example/realms/b", "urn:b"), expected);
        assert_eq!(url(expected, "urn:b"), expected);
        assert!(url("true", "urn:b").contains("the issuer `urn:b` is not a URL"));
        assert!(url("yes", "https://a.example").contains("or true"));
        assert!(url("http://a.example", "urn:b").contains("use https"));
    }

    #[test]
    fn a_discovery_document_is_of_its_issuer_and_origin() {
        let from = "https://a.example/.well-known/openid-configuration".parse().unwrap();
        let found = |issuer: &str, keys: &str| {
            let document = serde_json::json!({"issuer": issuer, "jwks_uri": keys, "more": 1}).to_string();
            key_set_of(document.as_bytes(), "https://a.example/", &from).map(|url| url.to_string())
        };
        let keys = "https://a.example/keys";
        assert_eq!(found("https://a.example/", keys).as_deref(), Ok(keys));
        let other = KeyFetchError::OtherIssuer("https://a.example".to_owned());
        assert_eq!(found("https://a.example", keys), Err(other), "not even a slash may differ");
        for elsewhere in
            ["https://b.example/keys", "http://a.example/keys", "https://a.example:8443/keys", "keys"]
        {
            assert_eq!(
                found("https://a.example/", elsewhere),
                Err(KeyFetchError::OtherOrigin),
                "{elsewhere}"
            );
        }
        assert!(matches!(key_set_of(b"{}", "", &from), Err(KeyFetchError::NotDiscovery(_))));
    }
}
