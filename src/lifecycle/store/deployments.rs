//! What is remembered over a restart: what serves, what served before, what was taken back. A file a model.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::Path,
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

/// Reads the files of a folder; there are none at the first start. One that cannot be read or understood is answered as
/// such, and says nothing about the others.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn read_all(folder: &Path) -> io::Result<BTreeMap<ModelName, io::Result<ModelDeployments>>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut all = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(Ok(model)) = name.strip_suffix(EXTENSION).map(str::parse) {
            all.insert(model, fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)));
        }
    }
    Ok(all)
}

/// Writes the file of a model so that whoever reads it, whenever the process is killed, finds the old text or the new
/// one; removes it if there is nothing to remember.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(folder: &Path, model: &ModelName, deployments: &ModelDeployments) -> io::Result<()> {
    let file = folder.join(format!("{model}{EXTENSION}"));
    if *deployments == ModelDeployments::default() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let text = serde_json::to_vec_pretty(deployments)?;
    // Most of what is written at a start is what was read there.
    if fs::read(&file).is_ok_and(|written| written == text) {
        return Ok(());
    }
    let temporary = folder.join(format!("{model}.tmp"));
    let mut output = File::create(&temporary)?;
    output.write_all(&text)?;
    output.sync_all()?;
    fs::rename(&temporary, &file)?;
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
        let all = read_all(folder.path()).unwrap();
        assert_eq!(*all[&iris].as_ref().unwrap(), unloaded);
        assert!(all[&wine].is_err());
        write(folder.path(), &iris, &ModelDeployments::default()).unwrap();
        write(folder.path(), &iris, &ModelDeployments::default()).unwrap();
        assert!(!read_all(folder.path()).unwrap().contains_key(&iris));
        assert!(read_all(Path::new("/nowhere")).unwrap().is_empty());
    }
}
