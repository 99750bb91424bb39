//! The place of the repository: a folder of this machine, or an object store.

use std::{fmt, path::Path, str::FromStr};

/// The kind of an object store, by the scheme of its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Amazon S3, or a store with its API.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A folder of a WebDAV server (RFC 4918).
    WebDav,
}

/// The URL of a repository in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    /// The kind of the store.
    pub kind: StoreKind,
    /// The bucket or container; scheme, host and port of a WebDAV server.
    pub place: String,
    /// The part before the names of models, without slashes at its ends. Empty for the whole store.
    pub prefix: String,
}

/// A text that is not the URL of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// A scheme that is planned and not there.
    #[error("oci:// repositories are not supported yet: use a folder, s3://, gs://, az:// or https://")]
    Oci,
    /// Another scheme.
    #[error("`{0}` is not a scheme of repositories: use a folder, s3://, gs://, az:// or https://")]
    Scheme(String),
    /// No bucket or host after the scheme.
    #[error("expected {0}")]
    Form(&'static str),
    /// Credentials in the URL, which logs would show.
    #[error("must not contain credentials or a query: docs/repositories.md says where credentials belong")]
    Credentials,
    /// A prefix that is not a plain path.
    #[error("the part after the {0} must be a plain path, without empty parts, `.` and `..`")]
    Prefix(&'static str),
}

impl StoreUrl {
    /// Reads the setting. `None` if it is a folder.
    ///
    /// # Errors
    ///
    /// If it has a scheme and is not the URL of a store.
    #[must_use]
    pub fn of_repository(repository: &Path) -> Option<Result<Self, StoreUrlError>> {
        let text = repository.to_str()?;
        text.contains("://").then(|| text.parse())
    }

    /// Returns true if the server is reached without encryption.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.place.starts_with("http://")
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (kind, form) = match scheme {
            "s3" => (StoreKind::S3, "s3://BUCKET/PREFIX"),
            "gs" => (StoreKind::Gcs, "gs://BUCKET/PREFIX"),
            "az" => (StoreKind::Azure, "az://CONTAINER/PREFIX"),
            "http" | "https" => (StoreKind::WebDav, "https://HOST/FOLDER"),
            "oci" => return Err(StoreUrlError::Oci),
            other => return Err(StoreUrlError::Scheme(other.escape_debug().to_string())),
        };
        if rest.contains(['@', '?', '#']) {
            return Err(StoreUrlError::Credentials);
        }
        let (place, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_place = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if place.is_empty() || !place.bytes().all(is_place) {
            return Err(StoreUrlError::Form(form));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            let place = if kind == StoreKind::WebDav { "host" } else { "bucket" };
            return Err(StoreUrlError::Prefix(place));
        }
        let place = if kind == StoreKind::WebDav { format!("{scheme}://{place}") } else { place.to_owned() };
        Ok(Self { kind, place, prefix: prefix.to_owned() })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            StoreKind::S3 => "s3://",
            StoreKind::Gcs => "gs://",
            StoreKind::Azure => "az://",
            StoreKind::WebDav => "",
        };
        write!(formatter, "{scheme}{}", self.place)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_with_a_scheme_is_a_store() {
        let of = |kind, place: &str, prefix: &str| {
            Ok(StoreUrl { kind, place: place.to_owned(), prefix: prefix.to_owned() })
        };
        for (url, expected) in [
            ("s3://models", of(StoreKind::S3, "models", "")),
            ("s3://models/", of(StoreKind::S3, "models", "")),
            ("s3://models/team/live/", of(StoreKind::S3, "models", "team/live")),
            ("gs://models/live", of(StoreKind::Gcs, "models", "live")),
            ("az://models/live", of(StoreKind::Azure, "models", "live")),
            ("https://dav.example/models", of(StoreKind::WebDav, "https://dav.example", "models")),
            ("http://127.0.0.1:81", of(StoreKind::WebDav, "http://127.0.0.1:81", "")),
            ("oci://registry/models", Err(StoreUrlError::Oci)),
            ("ftp://host/models", Err(StoreUrlError::Scheme("ftp".to_owned()))),
            ("s3:///models", Err(StoreUrlError::Form("s3://BUCKET/PREFIX"))),
            ("s3://mo dels", Err(StoreUrlError::Form("s3://BUCKET/PREFIX"))),
            ("https://user:word@dav.example/models", Err(StoreUrlError::Credentials)),
            ("az://models/live?sig=x", Err(StoreUrlError::Credentials)),
            ("s3://models/../other", Err(StoreUrlError::Prefix("bucket"))),
            ("s3://models//live", Err(StoreUrlError::Prefix("bucket"))),
        ] {
            let found = StoreUrl::of_repository(Path::new(url));
            assert_eq!(found, Some(expected.clone()), "{url}");
            if let Ok(expected) = expected {
                assert_eq!(expected.to_string(), url.strip_suffix('/').unwrap_or(url));
            }
        }
        for folder in ["models", "/srv/models", "./s3:/models"] {
            assert_eq!(StoreUrl::of_repository(Path::new(folder)), None, "{folder}");
        }
    }
}
