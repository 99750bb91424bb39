//! What a model's file says of itself at first sight, without copying it.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use super::data;
use crate::{
    lifecycle::{
        Reason, Refusal,
        beneath::{self, OpenError},
        fingerprint::Fingerprint,
    },
    model::{OnnxFile, OnnxFileError},
};

/// What is wrong with a file at first sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Something is missing that may still come.
    Incomplete(String),
    /// It will not serve as it is.
    Unusable(Refusal),
}

impl Defect {
    /// Why the file does not serve, if what is missing does not come.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Incomplete(detail) => Refusal::new(Reason::Truncated, detail),
            Self::Unusable(refusal) => refusal,
        }
    }

    fn unusable(reason: Reason, error: &dyn std::error::Error) -> Self {
        Self::Unusable(Refusal::new(reason, error.to_string()))
    }
}

/// What a file says of itself, as long as it has this fingerprint.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) fingerprint: Fingerprint,
    pub(super) external: Vec<String>,
    /// The least lengths of those files that the model says.
    external_bytes: BTreeMap<String, u64>,
    pub(super) defect: Option<Defect>,
}

impl Described {
    pub(super) fn is_of(&self, file: &Path) -> bool {
        fingerprint(file, &self.external) == self.fingerprint
    }

    pub(super) fn read(root: &Path, file: &Path) -> Self {
        let before = Fingerprint::of([file]);
        let (described, defect) = match beneath::open(root, file) {
            Ok(opened) => describe(opened),
            Err(error @ (OpenError::Outside(_) | OpenError::Linked(_))) => {
                (OnnxFile::default(), Some(Defect::unusable(Reason::OutsideFolder, &error)))
            }
            Err(error @ OpenError::Io(..)) => {
                (OnnxFile::default(), Some(Defect::unusable(Reason::Unreadable, &error)))
            }
        };
        let OnnxFile { external_files, external_bytes, .. } = described;
        if before != Fingerprint::of([file]) {
            // What was read is of no content that lies there now: no look takes it for known.
            let defect = Some(Defect::Incomplete("it is being written".to_owned()));
            let fingerprint = Fingerprint::default();
            return Self { fingerprint, external: Vec::new(), external_bytes: BTreeMap::new(), defect };
        }
        let external: Vec<String> = external_files.into_iter().collect();
        let fingerprint = fingerprint(file, &external);
        let described = Self { fingerprint, external, external_bytes, defect };
        if before.is_whole() { described.with_data(file) } else { described }
    }

    /// Looks at its data files again: others may lie beside it by now.
    pub(super) fn with_data(mut self, file: &Path) -> Self {
        if self.external.is_empty() || matches!(self.defect, Some(Defect::Unusable(_))) {
            return self;
        }
        let defect = |name| data::defect(file, name, &self.external, self.external_bytes.get(name));
        self.defect = self.external.iter().map(String::as_str).find_map(|name: &str| defect(name));
        self
    }
}

fn describe(opened: File) -> (OnnxFile, Option<Defect>) {
    let defect = match OnnxFile::read(opened) {
        Ok(described) => return (described, None),
        Err(error @ OnnxFileError::Truncated(_)) => Defect::Incomplete(error.to_string()),
        Err(error @ OnnxFileError::NotOnnx(_)) => Defect::unusable(Reason::NotOnnx, &error),
        Err(error @ OnnxFileError::Io(_)) => Defect::unusable(Reason::Unreadable, &error),
    };
    (OnnxFile::default(), Some(defect))
}

/// Of a model's file and those that it names; a name that leads out of the folder has none.
pub(in crate::lifecycle) fn fingerprint(file: &Path, external: &[String]) -> Fingerprint {
    let external: Vec<PathBuf> =
        external.iter().map(|name| beneath::relative(file, name).unwrap_or_default()).collect();
    Fingerprint::of(std::iter::once(file).chain(external.iter().map(PathBuf::as_path)))
}

/// Of the signatures of a model's file and those that it names.
pub(super) fn signatures(file: &Path, external: &[String]) -> Fingerprint {
    let external = external.iter().filter_map(|name| beneath::relative(file, name));
    let files: Vec<PathBuf> = std::iter::once(file.to_path_buf()).chain(external).map(signature_of).collect();
    Fingerprint::of(files.iter().map(PathBuf::as_path))
}

/// Where the signature of a file is.
pub(in crate::lifecycle) fn signature_of(file: PathBuf) -> PathBuf {
    let mut name = file.into_os_string();
    name.push(".minisig");
    name.into()
}
