//! Status of each version in the repository.

use std::fmt;

use super::Refusal;
use crate::model::{Digest, ModelName, ModelVersion, VersionLabel};

/// The state of a version, in the words of the Open Inference Protocol's repository extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Seen, not yet in service.
    Loading,
    /// In service.
    Ready,
    /// Being taken out of service.
    Unloading,
    /// Not in service.
    Unavailable,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Loading => "LOADING",
            Self::Ready => "READY",
            Self::Unloading => "UNLOADING",
            Self::Unavailable => "UNAVAILABLE",
        })
    }
}

/// A version in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    /// The model.
    pub model: ModelName,
    /// The version number.
    pub version: ModelVersion,
    /// The state.
    pub state: State,
    /// The digest of the files that serve.
    pub digest: Option<Digest>,
    /// True if requests without a version get it.
    pub is_default: bool,
    /// The labels that point to it.
    pub labels: Vec<VersionLabel>,
    /// The reason why the file now in the repository does not serve. An older one may still serve.
    pub refusal: Option<Refusal>,
    /// The event that the version waits for. `None` if it does not wait.
    pub waiting: Option<String>,
}

impl VersionStatus {
    /// Returns the reason why the file now in the repository does not serve, or the event it waits for.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.refusal.as_ref().map(ToString::to_string).or_else(|| self.waiting.clone())
    }
}
