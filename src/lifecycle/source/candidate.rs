//! A candidate: files of a repository that could be served.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::Path,
};

use super::{ModelSource, OpenedFile};
use crate::{
    lifecycle::{
        Reason, Refusal,
        confined_file::{self, OpenError},
        fingerprint::Fingerprint,
    },
    model::{ModelName, ModelVersion},
};

/// Files that could be served as a version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// The handle by which the source opens the files.
    pub files: FilesHandle,
    /// The files that hold its weights, as the model names them.
    pub external: Vec<String>,
    /// Fingerprint of the content.
    pub fingerprint: Fingerprint,
    /// Fingerprint of the signatures beside the files, which may arrive later than these.
    pub signatures: Fingerprint,
    /// A defect that is visible without copying the files.
    pub defect: Option<Defect>,
}

/// An opaque handle of a candidate's files. Only the source that made it knows what it means; to all others it is a
/// text for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesHandle {
    /// The part of the repository that must contain the model's file and everything it needs.
    scope: OsString,
    /// The place of the model's file.
    model: OsString,
}

/// The name of one of a candidate's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName<'n> {
    /// The model's file.
    Model,
    /// A data file, relative to the model's.
    Data(&'n str),
}

/// The files of a candidate, as its source opens them.
#[derive(Clone, Copy, Debug)]
pub struct CandidateFiles<'s> {
    source: &'s dyn ModelSource,
    candidate: &'s Candidate,
}

/// A defect that is visible before a file is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A part is missing that may still come.
    Incomplete(String),
    /// The file will not serve as it is.
    Unusable(Refusal),
}

impl FilesHandle {
    /// Creates a handle. `model` is the place of the model's file, `scope` that of everything it may need.
    pub(super) fn new(scope: impl Into<OsString>, model: impl Into<OsString>) -> Self {
        Self { scope: scope.into(), model: model.into() }
    }

    /// Creates the handle of a file that no source has, for tests.
    #[cfg(test)]
    pub(in crate::lifecycle) fn of_nothing() -> Self {
        Self::new("", "model.onnx")
    }

    /// Returns the part of the repository that must contain the files.
    pub(super) fn scope(&self) -> &OsStr {
        &self.scope
    }

    /// Returns the place of the model's file.
    pub(super) fn model(&self) -> &OsStr {
        &self.model
    }

    /// Returns the name of the model's file, without its folder.
    fn file_name(&self) -> &OsStr {
        Path::new(&self.model).file_name().unwrap_or(&self.model)
    }
}

impl fmt::Display for FilesHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Path::new(&self.model).display().fmt(formatter)
    }
}

impl<'s> CandidateFiles<'s> {
    /// Combines a candidate with the source that found it.
    #[must_use]
    pub fn new(source: &'s dyn ModelSource, candidate: &'s Candidate) -> Self {
        Self { source, candidate }
    }

    /// Returns the defect that the scan found. `None` if there is none.
    #[must_use]
    pub fn defect(self) -> Option<&'s Defect> {
        self.candidate.defect.as_ref()
    }

    /// Returns true if the files are not those that the scan found any more.
    pub(in crate::lifecycle) fn have_changed(self) -> bool {
        let Candidate { files, external, fingerprint, .. } = self.candidate;
        self.source.fingerprint(files, external) != *fingerprint
    }

    /// Opens a file.
    pub(in crate::lifecycle) fn open(self, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        self.source.open(&self.candidate.files, name)
    }

    /// Opens the signature of a file.
    pub(in crate::lifecycle) fn open_signature(self, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        self.source.open_signature(&self.candidate.files, name)
    }

    /// Returns the size of a file, in bytes. `None` if it is not there.
    pub(in crate::lifecycle) fn size(self, name: FileName<'_>) -> Option<u64> {
        self.source.size(&self.candidate.files, name)
    }

    /// Sums the sizes of the files, as the source reports them.
    pub(in crate::lifecycle) fn bytes(self) -> u64 {
        let data = self.candidate.external.iter().map(|name| FileName::Data(name));
        let sizes = std::iter::once(FileName::Model).chain(data).filter_map(|name| self.size(name));
        sizes.fold(0, u64::saturating_add)
    }

    /// Returns the name of the model's file in a copy.
    pub(in crate::lifecycle) fn model_name(self) -> String {
        self.candidate.files.file_name().to_string_lossy().into_owned()
    }

    /// Lists the data files by their paths relative to the model's file, each once.
    ///
    /// # Errors
    ///
    /// If the model names one that is outside of its folder.
    pub(in crate::lifecycle) fn data_names(self) -> Result<Vec<String>, Refusal> {
        let model_name = Path::new(self.candidate.files.file_name());
        let mut names = Vec::new();
        for external in &self.candidate.external {
            let name = confined_file::within(external).ok_or_else(|| {
                let detail = format!("it names `{}`, which leads out of its folder", external.escape_debug());
                Refusal::new(Reason::OutsideFolder, detail)
            })?;
            // A file may be named twice, and a model may keep weights in its own file.
            let is_model = name == model_name;
            let name = name.to_string_lossy().into_owned();
            if !is_model && !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl Defect {
    /// Returns the refusal of the file, for the case that a missing part does not come.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Incomplete(detail) => Refusal::new(Reason::Truncated, detail),
            Self::Unusable(refusal) => refusal,
        }
    }

    pub(super) fn unusable(reason: Reason, error: &dyn std::error::Error) -> Self {
        Self::Unusable(Refusal::new(reason, error.to_string()))
    }
}
