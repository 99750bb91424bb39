//! What a model's file says of itself at first sight, without copying it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

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
    pub(super) defect: Option<Defect>,
}

impl Described {
    pub(super) fn is_of(&self, file: &Path) -> bool {
        fingerprint(file, &self.external) == self.fingerprint
    }

    pub(super) fn read(root: &Path, file: &Path) -> Self {
        let before = Fingerprint::of([file]);
        let (external, mut defect) = match beneath::open(root, file) {
            Ok(opened) => describe(opened),
            Err(error @ OpenError::Outside(_)) => {
                (Vec::new(), Some(Defect::unusable(Reason::OutsideFolder, &error)))
            }
            Err(error @ OpenError::Io(..)) => {
                (Vec::new(), Some(Defect::unusable(Reason::Unreadable, &error)))
            }
        };
        if before != Fingerprint::of([file]) {
            // What was read is of no content that lies there now: no look takes it for known.
            let defect = Some(Defect::Incomplete("it is being written".to_owned()));
            return Self { fingerprint: Fingerprint::default(), external: Vec::new(), defect };
        }
        let fingerprint = fingerprint(file, &external);
        if defect.is_none() && before.is_whole() && !fingerprint.is_whole() {
            defect = external.iter().find_map(|name| defect_of_external(file, name));
        }
        Self { fingerprint, external, defect }
    }
}

fn describe(opened: File) -> (Vec<String>, Option<Defect>) {
    match OnnxFile::read(opened) {
        Ok(described) => (described.external_files.into_iter().collect(), None),
        Err(error @ OnnxFileError::Truncated(_)) => (Vec::new(), Some(Defect::Incomplete(error.to_string()))),
        Err(error @ OnnxFileError::NotOnnx(_)) => {
            (Vec::new(), Some(Defect::unusable(Reason::NotOnnx, &error)))
        }
        Err(error @ OnnxFileError::Io(_)) => (Vec::new(), Some(Defect::unusable(Reason::Unreadable, &error))),
    }
}

/// What is wrong with a file that a model names, if it is not there.
fn defect_of_external(file: &Path, name: &str) -> Option<Defect> {
    let shown = name.escape_debug();
    match beneath::relative(file, name) {
        Some(path) if path.exists() => None,
        Some(_) => Some(Defect::Incomplete(format!("its file `{shown}` is missing"))),
        None => {
            let detail = format!("it names `{shown}`, which leads out of its folder");
            Some(Defect::Unusable(Refusal::new(Reason::OutsideFolder, detail)))
        }
    }
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
