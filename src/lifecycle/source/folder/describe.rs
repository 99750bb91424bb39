//! Description of a model's file before it is copied.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use super::{data, signature_of};
use crate::{
    lifecycle::{
        Defect, Reason,
        confined_file::{self, OpenError},
        fingerprint::Fingerprint,
    },
    model::{OnnxFile, OnnxFileError},
};

/// The description of a file, valid for this fingerprint.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) fingerprint: Fingerprint,
    pub(super) external: Vec<String>,
    /// The least lengths of external files, as far as the model states them.
    external_bytes: BTreeMap<String, u64>,
    pub(super) defect: Option<Defect>,
}

impl Described {
    pub(super) fn is_of(&self, file: &Path) -> bool {
        fingerprint(file, &self.external) == self.fingerprint
    }

    pub(super) fn read(root: &Path, file: &Path) -> Self {
        let before = Fingerprint::of([file]);
        let (described, defect) = match confined_file::open(root, file) {
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
            // The file changed while it was read. An empty fingerprint makes every scan read it again.
            let defect = Some(Defect::Incomplete("it is being written".to_owned()));
            let fingerprint = Fingerprint::default();
            return Self { fingerprint, external: Vec::new(), external_bytes: BTreeMap::new(), defect };
        }
        let external: Vec<String> = external_files.into_iter().collect();
        let fingerprint = fingerprint(file, &external);
        let described = Self { fingerprint, external, external_bytes, defect };
        if before.is_whole() { described.with_data(file) } else { described }
    }

    /// Checks the data files again: missing ones may have arrived.
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

/// Takes the fingerprint of a model's file and the files it names. A name that leads out of the folder counts as
/// missing.
pub(super) fn fingerprint(file: &Path, external: &[String]) -> Fingerprint {
    let external: Vec<PathBuf> =
        external.iter().map(|name| confined_file::relative(file, name).unwrap_or_default()).collect();
    Fingerprint::of(std::iter::once(file).chain(external.iter().map(PathBuf::as_path)))
}

/// Takes the fingerprint of the signatures of a model's file and the files it names.
pub(super) fn signatures(file: &Path, external: &[String]) -> Fingerprint {
    let external = external.iter().filter_map(|name| confined_file::relative(file, name));
    let files: Vec<PathBuf> = std::iter::once(file.to_path_buf()).chain(external).map(signature_of).collect();
    Fingerprint::of(files.iter().map(PathBuf::as_path))
}
