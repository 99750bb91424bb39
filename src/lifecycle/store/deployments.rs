//! State that survives a restart: current, previous and rolled back deployments, one file per model.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    lifecycle::admission::Proof,
    model::{Digest, ModelName, ModelVersion},
};

/// The recorded state of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelDeployments {
    /// Deployments in service.
    pub serving: Vec<Deployment>,
    /// Previous deployments, newest last.
    pub previous: Vec<Deployment>,
    /// Content that was rolled back and must not be retried automatically.
    pub rolled_back: BTreeSet<Digest>,
    /// True if the model was unloaded by request.
    pub unloaded: bool,
}

/// A deployed version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The version number.
    pub version: ModelVersion,
    /// The content of its copy.
    pub content: Digest,
    /// The digest in responses.
    pub digest: Digest,
    /// The proof.
    pub proof: Proof,
}

impl ModelDeployments {
    /// Returns every copy that must be kept.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        self.serving.iter().chain(&self.previous).map(|deployment| deployment.content)
    }
}

/// Lists the models with a file in the folder; empty at the first start.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<BTreeMap<ModelName, Stamp>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut all = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(Ok(model)) = name.strip_suffix(EXTENSION).map(str::parse)
            && let Ok(stamp) = Stamp::of(&path)
        {
            all.insert(model, stamp);
        }
    }
    Ok(all)
}

/// Reads the file of a model. `None` if there is no such file.
///
/// # Errors
///
/// If it cannot be read or parsed. The files of other models are unaffected.
pub fn read(folder: &Path, model: &ModelName) -> io::Result<Option<ModelDeployments>> {
    match fs::read(file_of(folder, model)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
    }
}

/// Identity and times of a file or folder, which change whenever it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Takes the stamp of a file or folder.
    ///
    /// # Errors
    ///
    /// If its metadata cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// Takes the stamp of a model's file.
    pub(super) fn of_model(folder: &Path, model: &ModelName) -> Option<Self> {
        Self::of(&file_of(folder, model)).ok()
    }
}

fn file_of(folder: &Path, model: &ModelName) -> PathBuf {
    folder.join(format!("{model}{EXTENSION}"))
}

/// Removes the file of a model without recorded state.
///
/// # Errors
///
/// If it cannot be removed.
pub fn remove(folder: &Path, model: &ModelName) -> io::Result<()> {
    match fs::remove_file(file_of(folder, model)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the file of a model atomically: even if the process is killed, readers find the old text or the new one.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(folder: &Path, model: &ModelName, deployments: &ModelDeployments) -> io::Result<()> {
    let temporary = folder.join(format!("{model}.tmp"));
    let mut output = File::create(&temporary)?;
    output.write_all(&serde_json::to_vec_pretty(deployments)?)?;
    output.sync_all()?;
    fs::rename(&temporary, file_of(folder, model))?;
    // The rename is durable only once the folder is on the disk too.
    File::open(folder)?.sync_all()
}

/// Extension of the files.
const EXTENSION: &str = ".json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (iris, wine): (ModelName, ModelName) = ("iris".parse().unwrap(), "wine.v2".parse().unwrap());
        let unloaded = ModelDeployments { unloaded: true, ..ModelDeployments::default() };
        write(folder.path(), &iris, &unloaded).unwrap();
        write(folder.path(), &wine, &unloaded).unwrap();
        fs::write(folder.path().join("wine.v2.json"), "{").unwrap();
        let models: Vec<ModelName> = list(folder.path()).unwrap().into_keys().collect();
        assert_eq!(models, [iris.clone(), wine.clone()]);
        assert_eq!(read(folder.path(), &iris).unwrap(), Some(unloaded.clone()));
        assert!(read(folder.path(), &wine).is_err());
        let before = Stamp::of_model(folder.path(), &iris);
        write(folder.path(), &iris, &unloaded).unwrap();
        assert!(before.is_some() && before != Stamp::of_model(folder.path(), &iris));
        remove(folder.path(), &iris).unwrap();
        remove(folder.path(), &iris).unwrap();
        assert_eq!(read(folder.path(), &iris).unwrap(), None);
        assert!(list(Path::new("/nowhere")).unwrap().is_empty());
    }
}
