//! What is remembered over a restart: what serves, what served before, what was taken back.

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

/// All models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Deployments {
    /// By name.
    #[serde(default)]
    pub models: BTreeMap<ModelName, ModelDeployments>,
}

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
    /// Of the model's file.
    pub digest: Digest,
    /// What was found out about it.
    pub proof: Proof,
}

impl Deployments {
    /// Reads the file; none is there at the first start.
    ///
    /// # Errors
    ///
    /// When it cannot be read or understood.
    pub fn read(file: &Path) -> io::Result<Self> {
        match fs::read(file) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file so that whoever reads it, whenever the process is killed, finds the old text or the new one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let temporary = file.with_extension("tmp");
        let mut output = File::create(&temporary)?;
        output.write_all(&serde_json::to_vec_pretty(self)?)?;
        output.sync_all()?;
        fs::rename(&temporary, file)?;
        // The name is in the folder, which has to be on the disk too.
        file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Every copy that must be kept.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        self.models
            .values()
            .flat_map(|model| model.serving.iter().chain(&model.previous))
            .map(|one| one.content)
    }
}
