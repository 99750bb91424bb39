//! The status of a model's versions.

use serde::Serialize;
use utoipa::ToSchema;

/// The state of a model: `name` and `ready` as in KServe, the rest as in TensorFlow Serving.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelStatusDocument {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// True if the model is ready
    pub ready: bool,
    /// The state of each version
    pub model_version_status: Vec<VersionStatusDocument>,
}

/// The state of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionStatusDocument {
    /// The number of the version
    #[schema(example = "1")]
    version: String,
    /// `LOADING`, `AVAILABLE`, `UNLOADING` or `END`
    #[schema(example = "AVAILABLE")]
    state: &'static str,
    /// The reason why the version is not in service, if any
    status: StatusDocument,
}

/// The error of a version, if any.
#[derive(Debug, Serialize, ToSchema)]
struct StatusDocument {
    /// `OK` or `UNKNOWN`
    #[schema(example = "OK")]
    error_code: &'static str,
    /// A sentence for people; empty if there is no error
    error_message: String,
}

impl VersionStatusDocument {
    /// Creates the state of a version; `error` is the reason why it is not in service.
    #[must_use]
    pub fn new(version: String, state: &'static str, error: Option<String>) -> Self {
        let error_code = if error.is_some() { "UNKNOWN" } else { "OK" };
        let status = StatusDocument { error_code, error_message: error.unwrap_or_default() };
        Self { version, state, status }
    }
}
