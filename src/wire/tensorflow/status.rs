//! Which versions of a model there are and whether they serve.

use serde::Serialize;
use utoipa::ToSchema;

/// The state of a model: `name` and `ready` as KServe has them, the rest as TensorFlow Serving.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelStatusDocument {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// Whether it is ready
    pub ready: bool,
    /// The state of each version
    pub model_version_status: Vec<VersionStatusDocument>,
}

/// The state of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionStatusDocument {
    /// Its number
    #[schema(example = "1")]
    version: String,
    /// `LOADING`, `AVAILABLE`, `UNLOADING` or `END`
    #[schema(example = "AVAILABLE")]
    state: &'static str,
    /// Why it does not serve, if so
    status: StatusDocument,
}

/// What is wrong, if anything.
#[derive(Debug, Serialize, ToSchema)]
struct StatusDocument {
    /// `OK` or `UNKNOWN`
    #[schema(example = "OK")]
    error_code: &'static str,
    /// A sentence for people, or nothing
    error_message: String,
}

impl VersionStatusDocument {
    /// The state of a version; `error` says why it does not serve.
    #[must_use]
    pub fn new(version: String, state: &'static str, error: Option<String>) -> Self {
        let error_code = if error.is_some() { "UNKNOWN" } else { "OK" };
        let status = StatusDocument { error_code, error_message: error.unwrap_or_default() };
        Self { version, state, status }
    }
}
