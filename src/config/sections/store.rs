//! Section `models.store`: a repository in an object store.

use std::{net::IpAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// A repository in an object store. Credentials come from the environment: `AWS_*`, `GOOGLE_*`, `AZURE_*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct StoreSettings {
    /// URL of the store's API; unset: that of the provider.
    #[validate(length(min = 1, max = 2048, message = "must have 1 to 2048 bytes"))]
    pub endpoint: Option<String>,
    /// Region of an S3 bucket; unset: `AWS_REGION`, else `us-east-1`.
    #[validate(length(min = 1, max = 64, message = "must have 1 to 64 bytes"))]
    pub region: Option<String>,
    /// True if the store may be reached without encryption. Addresses of this machine always may.
    pub allow_http: bool,
    /// True to send no credentials, for public buckets.
    pub anonymous: bool,
    /// File with the authorities of the store's certificate, in PEM; unset: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Time between two listings of the store.
    #[validate(range(min = 50, max = 3_600_000, message = "must be from 50 to 3600000 (an hour)"))]
    pub poll_interval_ms: u64,
    /// Longest time without a byte from the store, and longest time for a connection.
    #[validate(range(min = 50, max = 600_000, message = "must be from 50 to 600000 (ten minutes)"))]
    pub timeout_ms: u64,
    /// Most objects below the prefix.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_objects: usize,
    /// Most bytes of all objects below the prefix.
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub max_bytes: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            anonymous: false,
            ca_file: None,
            poll_interval_ms: 10_000,
            timeout_ms: 10_000,
            max_objects: 10_000,
            max_bytes: 100_000_000_000,
        }
    }
}

impl StoreSettings {
    /// Returns the reason why a URL may not be connected to; `None` if it may.
    #[must_use]
    pub fn objection(&self, url: &str) -> Option<&'static str> {
        if url.starts_with("https://") {
            None
        } else if !url.starts_with("http://") {
            Some("must begin with https:// or http://")
        } else if self.allow_http || is_this_machine(url) {
            None
        } else {
            Some(
                "begins with http://, which is for addresses of this machine: use https://, or set \
                 models.store.allow_http",
            )
        }
    }
}

/// Returns true if a URL names this machine by its name or a loopback address.
fn is_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_this_machine_unless_it_is_allowed() {
        let mut settings = StoreSettings::default();
        for good in ["https://a.example", "http://127.0.0.1:9000", "http://localhost/x", "http://[::1]:81/x"]
        {
            assert_eq!(settings.objection(good), None, "{good}");
        }
        for bad in ["http://a.example", "http://127.0.0.1.a.example", "http://localhost.a.example:80/x"] {
            assert!(settings.objection(bad).is_some(), "{bad}");
        }
        settings.allow_http = true;
        assert_eq!(settings.objection("http://a.example"), None);
        assert!(settings.objection("ftp://a.example").is_some() && settings.objection("").is_some());
    }
}
