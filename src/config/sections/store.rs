//! Section `models.store`: a repository in an object store.

use std::path::PathBuf;

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
