//! What was found in the folder of a model, for as long as the file system says that it is the same.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{Found, FoundModel, signature_of};
use crate::{
    lifecycle::{beneath, fingerprint::Fingerprint},
    model::ModelName,
};

/// The folder is read again this often all the same: not everything below it is asked for each time.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// A change may follow one of the same time as the file system counts it, which some do by the second.
const GRANULARITY: Duration = Duration::from_secs(2);

/// The one model of a folder in which nothing is wrong, and what its look depended on.
#[derive(Debug)]
pub(super) struct Known {
    name: ModelName,
    model: FoundModel,
    /// The folders and files that were looked at, those that were not there included.
    paths: Vec<PathBuf>,
    fingerprint: Fingerprint,
    is_flat: bool,
    read_at: Instant,
}

impl Known {
    /// What was just found in a folder; `None` if the next look has to read it again. `golden` is the file of golden cases
    /// that a `model.toml` names.
    pub(super) fn of(
        folder: &Path,
        is_flat: bool,
        found: &Found,
        golden: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Option<Self> {
        let (name, model) = found.models.iter().next()?;
        let is_whole = model.candidates.values().all(|candidate| candidate.defect.is_none());
        if !found.notices.is_empty() || !found.unreadable.is_empty() || !is_whole || model.config.is_err() {
            return None;
        }
        let config = folder.join(super::CONFIG_FILE);
        let mut paths = vec![folder.to_path_buf()];
        paths.extend(golden(&config));
        paths.push(config);
        for candidate in model.candidates.values() {
            let external =
                candidate.external.iter().filter_map(|name| beneath::relative(&candidate.file, name));
            for file in std::iter::once(candidate.file.clone()).chain(external) {
                paths.extend(file.parent().map(Path::to_path_buf));
                paths.push(signature_of(file.clone()));
                paths.push(file);
            }
        }
        let fingerprint = Fingerprint::of(paths.iter().map(PathBuf::as_path));
        // What changed a moment ago may have changed once more since it was read, and look the same.
        if !fingerprint.is_older_than(GRANULARITY, SystemTime::now()) {
            return None;
        }
        let model = FoundModel { is_same: true, ..model.clone() };
        Some(Self { name: name.clone(), model, paths, fingerprint, is_flat, read_at: Instant::now() })
    }

    /// Returns true if a look at the folder would find the same.
    pub(super) fn holds(&self, is_flat: bool) -> bool {
        self.is_flat == is_flat
            && self.read_at.elapsed() < READ_AGAIN_AFTER
            && self.fingerprint.is_of(self.paths.iter().map(PathBuf::as_path))
    }

    /// Adds the model to what a look finds.
    pub(super) fn tell(&self, found: &mut Found) {
        found.models.insert(self.name.clone(), self.model.clone());
    }
}
