//! The recorded state of each model, in memory and in the folder that gateways share.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Deployment, Followed, ModelDeployments, Store,
    deployments::{self, Stamp},
    folder::{DEPLOYMENTS, Folder},
    merge::{FileSummary, merged},
};
use crate::model::{Digest, ModelName};

/// Two writes within this time may leave the same stamp on the folder.
const STAMP_GRANULARITY: Duration = Duration::from_secs(1);

/// The state of all models.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    models: HashMap<ModelName, Known>,
    /// The folder's stamp when its files were read last, and the time it was first seen.
    folder: Option<(Stamp, Instant)>,
    /// True if files were read after the stamp was old enough to be reliable.
    is_settled: bool,
}

/// The state of one model.
#[derive(Debug, Default)]
struct Known {
    /// This process's state of the model when it was last written, or equal to what was read.
    own: FileSummary,
    /// The content of the file when it was last written or read.
    file: FileSummary,
    /// The file of that content.
    stamp: Option<Stamp>,
    /// True if this process's state could not be written.
    is_unwritten: bool,
}

impl Known {
    /// Records the new content of the file. Returns the changes by others.
    fn note(&mut self, file: FileSummary, stamp: Option<Stamp>) -> Followed {
        let followed = Followed::between(&self.file, &file);
        // The caller applies the same changes to its own state.
        followed.apply(&mut self.own.rolled_back, &mut self.own.unloaded);
        (self.file, self.stamp) = (file, stamp);
        followed
    }
}

impl Remembered {
    /// Forgets what was read and written, because another folder is used, or the same one again.
    pub(super) fn begin_again(&mut self) {
        for known in self.models.values_mut() {
            *known = Known { is_unwritten: true, ..Known::default() };
        }
        self.folder = None;
    }

    /// Returns true if a file refers to this copy.
    pub(super) fn is_of_others(&self, content: &Digest) -> bool {
        self.models.values().any(|known| known.file.contents.contains(content))
    }

    /// Returns true if files may have been written since they were read.
    pub(super) fn has_changed(&self, folder: &Path) -> bool {
        Stamp::of(&folder.join(DEPLOYMENTS)).ok() != self.folder.map(|(stamp, _)| stamp)
    }

    /// Records that the folder is about to be read. Returns false if nothing in it can have changed.
    fn begin_reading(&mut self, folder: &Path) -> bool {
        let Ok(stamp) = Stamp::of(folder) else { return false };
        match self.folder {
            Some((known, since)) if known == stamp => {
                // A second write in the same moment is only found by reading the files again.
                let is_due = !self.is_settled && since.elapsed() >= STAMP_GRANULARITY;
                self.is_settled |= is_due;
                is_due
            }
            _ => {
                (self.folder, self.is_settled) = (Some((stamp, Instant::now())), false);
                true
            }
        }
    }
}

impl Store {
    /// Reads the recorded state of each model, or the reason why it cannot be read.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn deployments(&self) -> io::Result<BTreeMap<ModelName, io::Result<ModelDeployments>>> {
        let Some(folder) = self.deployments_folder() else { return Ok(BTreeMap::new()) };
        let mut remembered = self.remembered();
        let _ = remembered.begin_reading(&folder);
        let mut all = BTreeMap::new();
        for (model, stamp) in deployments::list(&folder)? {
            let read = deployments::read(&folder, &model);
            let file = read.as_ref().ok().and_then(Option::as_ref).map(FileSummary::of).unwrap_or_default();
            let known = Known { own: file.clone(), file, stamp: Some(stamp), is_unwritten: false };
            remembered.models.insert(model.clone(), known);
            all.insert(model, read.map(Option::unwrap_or_default));
        }
        Ok(all)
    }

    /// Merges this process's state of a model into the record. Returns the changes by others since it was last read.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The model is then among [`Store::unwritten`].
    pub fn remember(&self, model: &ModelName, own: &ModelDeployments) -> io::Result<Followed> {
        let lasting = self.place().lasting.clone();
        {
            let mut remembered = self.remembered();
            let known = remembered.models.entry(model.clone()).or_default();
            if known.own == FileSummary::of(own) && !known.is_unwritten {
                return Ok(Followed::default());
            }
            known.is_unwritten = true;
        }
        let Some(folder) = lasting else { return self.not_remembered() };
        self.bring_in(&folder, own.contents())?;
        let _writing = folder.lock_to_write()?;
        self.write(&folder, model, own)
    }

    fn write(&self, folder: &Arc<Folder>, model: &ModelName, own: &ModelDeployments) -> io::Result<Followed> {
        let path = folder.path.join(DEPLOYMENTS);
        let mut remembered = self.remembered();
        let others_wrote = remembered.has_changed(&folder.path);
        let known = remembered.models.entry(model.clone()).or_default();
        // An unreadable or removed file is written again.
        let theirs = deployments::read(&path, model).ok().flatten();
        let result = theirs.as_ref().map_or_else(|| own.clone(), |theirs| merged(&known.own, own, theirs));
        if theirs.as_ref() != Some(&result) {
            // An empty state is removed only if no other gateway has to see it.
            if result == ModelDeployments::default() && folder.others().count == 0 {
                deployments::remove(&path, model)?;
            } else {
                deployments::write(&path, model, &result)?;
            }
        }
        (known.own, known.is_unwritten) = (FileSummary::of(own), false);
        let followed = theirs.map(|theirs| known.note(FileSummary::of(&theirs), None)).unwrap_or_default();
        (known.file, known.stamp) = (FileSummary::of(&result), Stamp::of_model(&path, model));
        if known.stamp.is_none() {
            remembered.models.remove(model);
        }
        if !others_wrote {
            remembered.folder = Stamp::of(&path).ok().map(|stamp| (stamp, Instant::now()));
            remembered.is_settled = false;
        }
        Ok(followed)
    }

    /// Returns the changes that other gateways wrote since the last call.
    #[must_use]
    pub fn follow(&self) -> Vec<(ModelName, Followed)> {
        let Some(folder) = self.deployments_folder() else { return Vec::new() };
        let mut remembered = self.remembered();
        if !remembered.begin_reading(&folder) {
            return Vec::new();
        }
        let Ok(mut listed) = deployments::list(&folder) else { return Vec::new() };
        let mut changes = Vec::new();
        for (model, known) in &mut remembered.models {
            let Some(stamp) = listed.remove(model) else {
                // Other gateways write an empty state; a missing file was removed by another program.
                known.is_unwritten |= known.stamp.take().is_some();
                continue;
            };
            if known.stamp != Some(stamp) {
                changes.extend(follow_one(&folder, model, stamp, known));
            }
        }
        for (model, stamp) in listed {
            let mut known = Known::default();
            changes.extend(follow_one(&folder, &model, stamp, &mut known));
            remembered.models.insert(model, known);
        }
        changes.retain(|(_, followed)| !followed.is_nothing());
        changes
    }

    /// Returns the models whose state could not be written.
    #[must_use]
    pub fn unwritten(&self) -> Vec<ModelName> {
        let remembered = self.remembered();
        let unwritten = remembered.models.iter().filter(|(_, known)| known.is_unwritten);
        unwritten.map(|(name, _)| name.clone()).collect()
    }

    /// Finds a deployment of this content in the file of a model.
    #[must_use]
    pub fn deployment_of(&self, model: &ModelName, content: Digest) -> Option<Deployment> {
        let is_known = |known: &Known| known.file.contents.contains(&content);
        self.remembered().models.get(model).filter(|known| is_known(known))?;
        self.known_deployments(model).into_iter().find(|deployment| deployment.content == content)
    }

    /// Lists the deployments in the file of a model: current ones first, then previous ones, newest first.
    #[must_use]
    pub fn known_deployments(&self, model: &ModelName) -> Vec<Deployment> {
        let folder = self.deployments_folder();
        let file = folder.and_then(|folder| deployments::read(&folder, model).ok().flatten());
        let ModelDeployments { serving, previous, .. } = file.unwrap_or_default();
        serving.into_iter().rev().chain(previous.into_iter().rev()).collect()
    }

    fn deployments_folder(&self) -> Option<PathBuf> {
        let place = self.place();
        let lasting = place.lasting.as_ref().map(|folder| &folder.path);
        lasting.or(place.readable.as_ref()).map(|folder| folder.join(DEPLOYMENTS))
    }

    fn not_remembered(&self) -> io::Result<Followed> {
        if self.origin.is_none() {
            return Ok(Followed::default());
        }
        let problem = self.problem().map(|problem| problem.to_string());
        Err(io::Error::other(problem.unwrap_or_default()))
    }
}

/// Reads a file that changed. An unreadable one is logged and ignored until its next change.
fn follow_one(
    folder: &Path,
    model: &ModelName,
    stamp: Stamp,
    known: &mut Known,
) -> Option<(ModelName, Followed)> {
    match deployments::read(folder, model) {
        Ok(Some(file)) => Some((model.clone(), known.note(FileSummary::of(&file), Some(stamp)))),
        Ok(None) => None,
        Err(error) => {
            tracing::error!(model.name = %model, %error, "failed to read another gateway's record");
            known.stamp = Some(stamp);
            None
        }
    }
}
