//! What is known of each version in the repository.

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
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: ModelVersion,
    /// Whether it serves.
    pub state: State,
    /// The digest of the files that serve.
    pub digest: Option<Digest>,
    /// Whether requests without a version get it.
    pub is_default: bool,
    /// The labels that point to it.
    pub labels: Vec<VersionLabel>,
    /// Why the file that lies in the repository now does not serve; an older one may.
    pub refusal: Option<Refusal>,
    /// What is waited for, if something is.
    pub waiting: Option<String>,
}

impl VersionStatus {
    /// Why what lies in the repository now does not serve, or what is waited for.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.refusal.as_ref().map(ToString::to_string).or_else(|| self.waiting.clone())
    }
}
