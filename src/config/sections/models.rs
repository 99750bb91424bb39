//! Sections `models`, `admission` and `rollback`: the repository, the proof of candidates, and automatic rollback.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use validator::{Validate, ValidationError};

use super::StoreSettings;
use crate::{
    config::{StoreKind, StoreUrl},
    model::ModelName,
};

/// The model repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[validate(schema(function = "may_reach_its_store"))]
pub struct ModelsSettings {
    /// The folder that holds the models, or the URL of an object store: `s3://`, `gs://`, `az://` or `https://`.
    #[validate(custom(function = "is_repository"))]
    pub repository: PathBuf,
    /// A repository in an object store.
    #[validate(nested)]
    pub store: StoreSettings,
    /// Model files that are served in place of the repository, each as the model that its name says.
    #[serde(default, deserialize_with = "paths")]
    #[validate(custom(function = "are_models"))]
    pub files: Vec<PathBuf>,
    /// The model that `/predict` uses; unset: the only one, or `iris`.
    #[schemars(with = "Option<String>")]
    pub default: Option<ModelName>,
    /// Longest time between two scans of the repository; file system notifications trigger a scan earlier.
    #[validate(range(min = 50, max = 3_600_000, message = "must be from 50 to 3600000 (an hour)"))]
    pub poll_interval_ms: u64,
    /// The folder for copies of current and previous deployments, and for their history.
    pub state_directory: PathBuf,
    /// Number of previous deployments of each model that are kept for a rollback.
    #[validate(range(max = 100, message = "must be from 0 to 100"))]
    pub keep_previous: usize,
    /// Time since its last change after which a truncated file is refused rather than waited for. If only some files of
    /// a model with data files have changed, the others are waited for equally long.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub incomplete_grace_ms: u64,
    /// Time within which a removed file may reappear, as some tools replace files by deleting them first.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub removal_grace_ms: u64,
    /// Treatment of a version whose file was removed: `unload` or `keep`.
    pub when_removed: WhenRemoved,
    /// Treatment of all models when their files are removed at once, as by a failed mount: `keep` or `unload`.
    pub when_emptied: WhenRemoved,
    /// True if readiness requires a repository that can be read and has not lost all its models.
    pub require_repository: bool,
    /// Priority of a swap: `availability` (load the new version before unloading the old one) or `resources` (after).
    pub preserve: Preserve,
}

impl Default for ModelsSettings {
    fn default() -> Self {
        Self {
            repository: "models".into(),
            store: StoreSettings::default(),
            files: Vec::new(),
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

/// The ending of a model's file.
const MODEL_ENDING: &str = "onnx";

impl ModelsSettings {
    /// Returns the folder that the state belongs to: the repository, or that of the first file.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self.files.first().and_then(|file| file.parent()) {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => &self.repository,
        }
    }

    /// Returns the URL of the object store that holds the models. `None` if they lie in a folder.
    #[must_use]
    pub fn store_url(&self) -> Option<StoreUrl> {
        let of_repository = || StoreUrl::of_repository(&self.repository)?.ok();
        if self.files.is_empty() { of_repository() } else { None }
    }

    /// Returns the model that a file is served as.
    ///
    /// # Errors
    ///
    /// If its name is not that of a model: a sentence for people.
    pub fn model_of(file: &Path) -> Result<ModelName, String> {
        let shown = file.display();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        if file.extension().is_none_or(|ending| ending != MODEL_ENDING) {
            return Err(format!(
                "{shown} is not named like a model's file: expected a name that ends in .onnx"
            ));
        }
        stem.parse::<ModelName>().map_err(|error| format!("{shown}: {error}: rename the file"))
    }

    /// Returns the reason why these files cannot be served beside each other; `None` if they can.
    #[must_use]
    pub fn objection_to_files(files: &[PathBuf]) -> Option<String> {
        let mut models = BTreeMap::new();
        for file in files {
            match Self::model_of(file) {
                Err(objection) => return Some(objection),
                Ok(model) => {
                    if let Some(other) = models.insert(model.clone(), file) {
                        let (file, other) = (file.display(), other.display());
                        let both = format!("{other} and {file} would both be the model `{model}`");
                        return Some(format!("{both}: rename one of them, or serve one of them"));
                    }
                }
            }
        }
        None
    }
}

fn is_repository(repository: &Path) -> Result<(), ValidationError> {
    match StoreUrl::of_repository(repository) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(ValidationError::new("repository").with_message(error.to_string().into())),
    }
}

fn may_reach_its_store(settings: &ModelsSettings) -> Result<(), ValidationError> {
    let url = settings.store_url().filter(|url| url.kind == StoreKind::WebDav);
    let endpoint = settings.store.endpoint.clone();
    let urls = [("repository", url.map(|url| url.place)), ("store.endpoint", endpoint)];
    for (key, url) in urls.into_iter().filter_map(|(key, url)| Some((key, url?))) {
        if let Some(objection) = settings.store.objection(&url) {
            return Err(ValidationError::new("store").with_message(format!("{key} {objection}").into()));
        }
    }
    Ok(())
}

fn are_models(files: &[PathBuf]) -> Result<(), ValidationError> {
    match ModelsSettings::objection_to_files(files) {
        None => Ok(()),
        Some(objection) => Err(ValidationError::new("files").with_message(objection.into())),
    }
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    Ok(super::comma_list(deserializer)?.into_iter().map(PathBuf::from).collect())
}

/// Treatment of a version whose file was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
#[schemars(!try_from)]
pub enum WhenRemoved {
    /// The version is unloaded.
    Unload,
    /// The version stays in service.
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

/// Priority of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
#[schemars(!try_from)]
pub enum Preserve {
    /// No request finds the model missing; old and new are in memory together for a moment.
    Availability,
    /// The old version is unloaded first; requests in between get a 503 with `Retry-After`.
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

/// The proof of a candidate, in a separate process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct AdmissionSettings {
    /// CPU time limit; the limit of elapsed time is four times as long. Every 100 MB of the file add a second.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub timeout_seconds: u64,
    /// Memory limit; 0: half of what the process may still use, and at most a multiple of the file's size.
    pub max_memory_bytes: u64,
    /// True if a candidate is refused where the kernel cannot sandbox it (Landlock and seccomp). By default only on
    /// systems other than Linux, which never can.
    pub require_sandbox: bool,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { timeout_seconds: 10, max_memory_bytes: 0, require_sandbox: !cfg!(target_os = "linux") }
    }
}

/// Automatic rollback to the previous deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct RollbackSettings {
    /// True if automatic rollback is on.
    pub automatic: bool,
    /// The share of predictions that fail, on inputs that the previous deployment can answer, which triggers a
    /// rollback. Below 0.5, more than one must have failed, too.
    #[validate(range(min = 0.001, max = 1.0, message = "must be from 0.001 to 1"))]
    pub failure_share: f64,
    /// Time after a swap during which predictions are watched.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub window_seconds: u64,
    /// Fewest predictions before the share is evaluated.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub min_answers: u64,
}

impl Default for RollbackSettings {
    fn default() -> Self {
        Self { automatic: true, failure_share: 0.5, window_seconds: 300, min_answers: 20 }
    }
}
