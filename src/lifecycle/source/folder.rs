//! A repository that is a folder of this machine.
//!
//! ```text
//! models/iris/1/model.onnx    a numbered version
//! models/iris/model.toml      the configuration of the model
//! models/wine.onnx            a flat file: the model `wine`, version 1
//! models/wine.toml            its configuration
//! ```

mod configs;
mod data;
mod describe;
mod entries;
mod known;
mod local_folder;
mod named_files;
mod other_root;
mod scanner;
mod strays;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Candidate, ChangeListener, FileName, FilesHandle, ModelSource, OpenedFile, RepositoryScan};
use crate::{
    lifecycle::{
        confined_file::{self, OpenError},
        fingerprint::Fingerprint,
    },
    model::ModelVersion,
};
use scanner::Scanner;
use watch::Watch;

/// The file in a version's folder.
const MODEL_FILE: &str = "model.onnx";

/// The configuration file in a model's folder.
const CONFIG_FILE: &str = "model.toml";

/// The version of a model that is one flat file.
const FLAT_VERSION: u64 = 1;

/// The model name for a single file without a repository.
const FILE_MODEL: &str = "model";

/// A folder with models.
#[derive(Debug)]
pub struct FolderSource {
    repository: PathBuf,
    /// Files that are served in place of the folder. Empty to serve the folder.
    files: Vec<PathBuf>,
    scanner: Mutex<Scanner>,
    /// The subscription to changes. Empty if none was asked for, or the system has none.
    hearing: OnceLock<Hearing>,
}

/// A subscription to the changes of the folder.
#[derive(Debug)]
struct Hearing {
    _watch: Watch,
    /// The folder whose changes are all reported. `None` if some may not be.
    folder: Option<(u64, u64)>,
}

impl FolderSource {
    /// Creates the source of this folder.
    #[must_use]
    pub fn new(repository: PathBuf) -> Self {
        let scanner = Mutex::new(Scanner::new(repository.clone()));
        Self { repository, files: Vec::new(), scanner, hearing: OnceLock::new() }
    }

    /// Creates the source of these files alone, of which the first lies in this folder.
    #[must_use]
    pub fn of_files(files: Vec<PathBuf>, folder: PathBuf) -> Self {
        Self { files, ..Self::new(folder) }
    }

    /// Describes a single file as if it were the only version of a model in its folder. Returns it with its source.
    ///
    /// # Errors
    ///
    /// If the file does not exist.
    pub fn of_file(file: &Path) -> io::Result<(Self, Candidate)> {
        let file = file.canonicalize()?;
        let root = file.parent().unwrap_or(&file).to_path_buf();
        let model = FILE_MODEL.parse().map_err(io::Error::other)?;
        let source = Self::new(root.clone());
        let candidate = source.scanner().candidate(model, ModelVersion::new(FLAT_VERSION), &root, &file);
        Ok((source, candidate))
    }

    /// Locks the scanner, poisoned or not: its results are consistent at every point where a panic could leave them.
    fn scanner(&self) -> MutexGuard<'_, Scanner> {
        self.scanner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelSource for FolderSource {
    fn location(&self) -> String {
        self.repository.display().to_string()
    }

    fn scan(&self) -> io::Result<RepositoryScan> {
        if self.files.is_empty() { self.scanner().scan() } else { Ok(self.scanner().scan_files(&self.files)) }
    }

    fn doubt(&self, name: Option<&str>) {
        self.scanner().doubt(name);
    }

    fn watch(&self, changed: ChangeListener) {
        // The folder of a single file may be large, such as a home directory: single files are only scanned.
        if !self.files.is_empty() {
            return;
        }
        if let Some(watch) = Watch::start(&self.repository, changed) {
            let folder = local_folder::watched_folder(&self.repository);
            self.hearing.get_or_init(|| Hearing { _watch: watch, folder });
        }
    }

    fn reports_every_change(&self) -> bool {
        // Another folder may have taken its place.
        let heard = self.hearing.get().and_then(|hearing| hearing.folder);
        heard.is_some() && local_folder::watched_folder(&self.repository) == heard
    }

    fn open(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        open(files, &path_of(files, name)?)
    }

    fn open_signature(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        open(files, &signature_of(path_of(files, name)?))
    }

    fn size(&self, files: &FilesHandle, name: FileName<'_>) -> Option<u64> {
        fs::metadata(path_of(files, name).ok()?).ok().map(|metadata| metadata.len())
    }

    fn fingerprint(&self, files: &FilesHandle, data: &[String]) -> Fingerprint {
        describe::fingerprint(model_file(files), data)
    }
}

/// Opens a path beneath the folder of a handle, without following a link out of it.
fn open(files: &FilesHandle, path: &Path) -> Result<OpenedFile, OpenError> {
    Ok(Box::new(confined_file::open(Path::new(files.scope()), path)?))
}

/// Returns the path of a candidate's file. Names that lead out of the model's folder have none.
fn path_of(files: &FilesHandle, name: FileName<'_>) -> Result<PathBuf, OpenError> {
    let model = model_file(files);
    match name {
        FileName::Model => Ok(model.to_path_buf()),
        FileName::Data(data) => confined_file::relative(model, data)
            .ok_or_else(|| OpenError::Outside(data.escape_debug().to_string())),
    }
}

/// Returns the path of the model's file.
fn model_file(files: &FilesHandle) -> &Path {
    Path::new(files.model())
}

/// Returns the path of a file's signature.
fn signature_of(file: PathBuf) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".minisig");
    name.into()
}
