//! Sources of models: repositories, wherever their files lie.
//!
//! The manager and its workers know a repository only as a [`ModelSource`], and a candidate's files only by a handle
//! that its source made. [`FolderSource`] is a folder of this machine, [`RemoteSource`] an object store.

mod candidate;
mod folder;
mod remote;

#[cfg(test)]
pub(super) mod memory;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Read},
    sync::Arc,
};

use super::{confined_file::OpenError, fingerprint::Fingerprint, model_config::ModelConfig, notice::Notice};
use crate::{
    config::ModelsSettings,
    model::{ModelName, ModelVersion},
    telemetry::Metrics,
};
pub use candidate::{Candidate, CandidateFiles, Defect, FileName, FilesHandle};
pub use folder::FolderSource;
pub use remote::{RemoteSource, download_model};

/// A repository of models.
///
/// One thread scans it, while others open candidates of earlier scans. A candidate may be opened long after the scan
/// that found it: a source opens what its files are by then, and [`ModelSource::fingerprint`] says whether they
/// changed.
pub trait ModelSource: fmt::Debug + Send + Sync {
    /// Returns the place of the repository, for messages.
    fn location(&self) -> String;

    /// Scans the whole repository. Unchanged files give an equal candidate in each scan.
    ///
    /// # Errors
    ///
    /// If the repository cannot be read. Problems inside it become notices.
    fn scan(&self) -> io::Result<RepositoryScan>;

    /// Returns true until the first files of the repository are there, or it is known that they cannot be read.
    fn is_starting(&self) -> bool {
        false
    }

    /// Makes the next scan read the entry of this name again, even if it seems unchanged. `None` for all entries.
    fn doubt(&self, name: Option<&str>);

    /// Begins to report changes, for as long as the source lasts. They are hints: scans find what is not reported.
    fn watch(&self, changed: ChangeListener);

    /// Returns true if every change is reported, so that scans may be rare.
    fn reports_every_change(&self) -> bool;

    /// Opens a file of a candidate.
    ///
    /// # Errors
    ///
    /// If it lies outside of the model's folder, is not a regular file, or cannot be read.
    fn open(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError>;

    /// Opens the signature beside a file of a candidate.
    ///
    /// # Errors
    ///
    /// As [`ModelSource::open`].
    fn open_signature(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError>;

    /// Returns the size of a candidate's file, in bytes. `None` if it is not there.
    fn size(&self, files: &FilesHandle, name: FileName<'_>) -> Option<u64>;

    /// Takes the fingerprint of a candidate's files as they are now. `data` are the data files, as the model names
    /// them.
    fn fingerprint(&self, files: &FilesHandle, data: &[String]) -> Fingerprint;
}

/// Returns the source of the repository, or of the files, that the settings name.
///
/// # Errors
///
/// If there is no folder for the mirror of an object store.
pub fn source_of(settings: &ModelsSettings, metrics: &Arc<Metrics>) -> io::Result<Arc<dyn ModelSource>> {
    match settings.store_url() {
        Some(url) => Ok(Arc::new(RemoteSource::new(url, settings, Some(Arc::clone(metrics)))?)),
        None => Ok(folder_of(settings)),
    }
}

/// Returns the same source for a command, which scans once. An object store is downloaded first.
///
/// # Errors
///
/// If an object store cannot be read.
pub fn source_for_command(settings: &ModelsSettings) -> io::Result<Arc<dyn ModelSource>> {
    match settings.store_url() {
        Some(url) => Ok(Arc::new(RemoteSource::downloaded(url, settings)?)),
        None => Ok(folder_of(settings)),
    }
}

fn folder_of(settings: &ModelsSettings) -> Arc<dyn ModelSource> {
    Arc::new(FolderSource::of_files(settings.files.clone(), settings.folder().to_path_buf()))
}

/// The content of a file that a source opened.
pub type OpenedFile = Box<dyn Read + Send>;

/// A function that hears of changes: the repository's entry of this name, or `None` if any may have changed.
pub type ChangeListener = Box<dyn Fn(Option<String>) + Send>;

/// A model's configuration, or the reason why it cannot be read.
pub type Config = Result<Arc<ModelConfig>, String>;

/// A model found in the repository.
#[derive(Clone, Debug)]
pub struct ScannedModel {
    /// The configuration, or the reason why it cannot be read.
    pub config: Config,
    /// Versions of the model.
    pub candidates: BTreeMap<ModelVersion, Candidate>,
    /// True if the previous scan found exactly the same.
    pub is_same: bool,
}

/// The result of a scan.
#[derive(Clone, Debug, Default)]
pub struct RepositoryScan {
    /// The models.
    pub models: BTreeMap<ModelName, ScannedModel>,
    /// Entries that cannot be read now, by model name. Nothing is known about their files.
    pub unreadable: BTreeSet<String>,
    /// Files that seem intended to be served but have no effect, with the reason.
    pub notices: Vec<Notice>,
    /// The folder that was probably meant in place of a repository without models, as a sentence about the latter.
    pub advice: Option<String>,
    /// The reason why the repository cannot be read now; its files are those of an earlier time. `None` if it can.
    pub away: Option<String>,
}
