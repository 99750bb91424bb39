//! Sections `models`, `admission` and `rollback`: what is served, what is proven before, and when it is taken back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::model::ModelName;

/// The model repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub struct ModelsSettings {
    /// The folder that holds the models.
    pub repository: PathBuf,
    /// The model that `/predict` asks; unset: the only one, or `iris`.
    pub default: Option<ModelName>,
    /// How often the repository is looked at, besides whenever the system tells of a change.
    #[validate(range(min = 50, max = 3_600_000, message = "must be from 50 to 3600000 (an hour)"))]
    pub poll_interval_ms: u64,
    /// Where copies of what serves and served before, and the history of deployments are kept.
    pub state_directory: PathBuf,
    /// How many earlier deployments of each model are kept, to go back to.
    #[validate(range(max = 100, message = "must be from 0 to 100"))]
    pub keep_previous: usize,
    /// A file that is cut short is waited for, this long since its last change, before it is refused. Of a model with data
    /// files, the change of only some of its files is waited on for the others as long.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub incomplete_grace_ms: u64,
    /// A file that vanishes may come back within this time, as some tools replace files.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub removal_grace_ms: u64,
    /// What becomes of a version whose file stays away: `unload` or `keep`.
    pub when_removed: WhenRemoved,
    /// The end of all models whose files vanish at once, as with a mount that fails: `keep` or `unload`.
    pub when_emptied: WhenRemoved,
    /// True if the gateway is ready only while the repository can be read and has not lost all its models.
    pub require_repository: bool,
    /// What a swap preserves: `availability` (the new one is loaded before the old one goes) or `resources` (after).
    pub preserve: Preserve,
}

impl Default for ModelsSettings {
    fn default() -> Self {
        Self {
            repository: "models".into(),
            default: None,
            poll_interval_ms: 1000,
            state_directory: "state".into(),
            keep_previous: 2,
            incomplete_grace_ms: 5000,
            removal_grace_ms: 10_000,
            when_removed: WhenRemoved::Unload,
            when_emptied: WhenRemoved::Keep,
            require_repository: false,
            preserve: Preserve::Availability,
        }
    }
}

/// What becomes of a version whose file stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum WhenRemoved {
    /// It is taken out of service.
    Unload,
    /// It serves on.
    Keep,
}

impl TryFrom<String> for WhenRemoved {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "unload" => Ok(Self::Unload),
            "keep" => Ok(Self::Keep),
            _ => Err(format!("expected unload or keep, got `{text}`")),
        }
    }
}

/// What a swap preserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Preserve {
    /// No request finds the model gone; old and new are in memory together for a moment.
    Availability,
    /// The old one makes room first; requests in between are told to come back.
    Resources,
}

impl TryFrom<String> for Preserve {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "availability" => Ok(Self::Availability),
            "resources" => Ok(Self::Resources),
            _ => Err(format!("expected availability or resources, got `{text}`")),
        }
    }
}

/// The proof of a candidate, in a process of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub struct AdmissionSettings {
    /// How long it may take on a CPU, and four times as long by the clock; a second more for every 100 MB of the file.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub timeout_seconds: u64,
    /// How much memory it may use; 0: half of what the process may still use, and no more than a multiple of the file.
    pub max_memory_bytes: u64,
    /// Whether a candidate is refused where the kernel cannot shut it in (Landlock and seccomp).
    pub require_sandbox: bool,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { timeout_seconds: 10, max_memory_bytes: 0, require_sandbox: false }
    }
}

/// Going back to the deployment before without being asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub struct RollbackSettings {
    /// Whether that is done.
    pub automatic: bool,
    /// The share of answers that fail on inputs that the deployment before answers, from which on it is. Below 0.5 it must be
    /// more than that one failed, too.
    #[validate(range(min = 0.001, max = 1.0, message = "must be from 0.001 to 1"))]
    pub failure_share: f64,
    /// How long after a swap answers are watched.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub window_seconds: u64,
    /// So many answers are waited for before the share says anything.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub min_answers: u64,
}

impl Default for RollbackSettings {
    fn default() -> Self {
        Self { automatic: true, failure_share: 0.5, window_seconds: 300, min_answers: 20 }
    }
}
