//! What is remembered over a restart: what serves, what served before, what was taken back. A file a model.

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

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelDeployments {
    /// In service.
    pub serving: Vec<Deployment>,
    /// In service before, the last one last.
    pub previous: Vec<Deployment>,
    /// Content that was taken back and is not to come again by itself.
    pub rolled_back: BTreeSet<Digest>,
    /// Whether it was unloaded by request.
    pub unloaded: bool,
}

/// A version that was admitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its number.
    pub version: ModelVersion,
    /// Which copy it is of.
    pub content: Digest,
    /// The digest that answers show.
    pub digest: Digest,
    /// What was found out about it.
    pub proof: Proof,
}

impl ModelDeployments {
    /// Every copy that must be kept.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        self.serving.iter().chain(&self.previous).map(|deployment| deployment.content)
    }
}

/// Lists the models of which a folder has a file; there are none at the first start.
///
/// # Errors
///
/// When the folder cannot be read.
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

/// Reads the file of a model; `None` if there is none.
///
/// # Errors
///
/// When it cannot be read or understood, which says nothing about the others.
pub fn read(folder: &Path, model: &ModelName) -> io::Result<Option<ModelDeployments>> {
    match fs::read(file_of(folder, model)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
    }
}

/// The time of a file or folder and the place of its content: both change whenever it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// The stamp as it is now.
    ///
    /// # Errors
    ///
    /// When the file or folder cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// The stamp of a model's file.
    pub(super) fn of_model(folder: &Path, model: &ModelName) -> Option<Self> {
        Self::of(&file_of(folder, model)).ok()
    }
}

fn file_of(folder: &Path, model: &ModelName) -> PathBuf {
    folder.join(format!("{model}{EXTENSION}"))
}

/// Removes the file of a model of which there is nothing to remember.
///
/// # Errors
///
/// When it cannot be removed.
pub fn remove(folder: &Path, model: &ModelName) -> io::Result<()> {
    match fs::remove_file(file_of(folder, model)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the file of a model so that whoever reads it, whenever the process is killed, finds the old text or the new
/// one.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(folder: &Path, model: &ModelName, deployments: &ModelDeployments) -> io::Result<()> {
    let temporary = folder.join(format!("{model}.tmp"));
    let mut output = File::create(&temporary)?;
    output.write_all(&serde_json::to_vec_pretty(deployments)?)?;
    output.sync_all()?;
    fs::rename(&temporary, file_of(folder, model))?;
    // The name is in the folder, which has to be on the disk too.
    File::open(folder)?.sync_all()
}

/// How the names of the files end.
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
