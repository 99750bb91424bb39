//! Cache of scanned model folders, valid while the file system reports no change.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{CONFIG_FILE, model_file, signature_of};
use crate::{
    lifecycle::{RepositoryScan, ScannedModel, TRITON_CONFIG_FILE, confined_file, fingerprint::Fingerprint},
    model::ModelName,
};

/// Lifetime of an entry. Not every file below the folder is checked in each scan.
const READ_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Resolution of file times. Some file systems count by the second, so a second change may be invisible.
const GRANULARITY: Duration = Duration::from_secs(2);

/// The model of a folder without defects, and the files that its scan depended on.
#[derive(Debug)]
pub(super) struct Known {
    name: ModelName,
    model: ScannedModel,
    /// The folders and files that were examined, including those that did not exist.
    paths: Vec<PathBuf>,
    fingerprint: Fingerprint,
    is_flat: bool,
    read_at: Instant,
}

impl Known {
    /// Caches the scan of a folder. `None` if the next scan has to read it again. `golden` returns the file of golden
    /// cases that a `model.toml` names.
    pub(super) fn of(
        folder: &Path,
        is_flat: bool,
        found: &RepositoryScan,
        golden: impl Fn(&Path) -> Option<PathBuf>,
        now: SystemTime,
    ) -> Option<Self> {
        let (name, model) = found.models.iter().next()?;
        let is_whole = model.candidates.values().all(|candidate| candidate.defect.is_none());
        if !found.notices.is_empty() || !found.unreadable.is_empty() || !is_whole || model.config.is_err() {
            return None;
        }
        let config = folder.join(CONFIG_FILE);
        let mut paths = vec![folder.to_path_buf()];
        paths.extend(golden(&config));
        paths.push(config.with_file_name(TRITON_CONFIG_FILE));
        paths.push(config);
        for candidate in model.candidates.values() {
            let model = model_file(&candidate.files);
            let external = candidate.external.iter().filter_map(|name| confined_file::relative(model, name));
            for file in std::iter::once(model.to_path_buf()).chain(external) {
                paths.extend(file.parent().map(Path::to_path_buf));
                paths.push(signature_of(file.clone()));
                paths.push(file);
            }
        }
        let fingerprint = Fingerprint::of(paths.iter().map(PathBuf::as_path));
        // A recent change may have been followed by another with the same time stamp, after the file was read.
        if !fingerprint.is_older_than(GRANULARITY, now) {
            return None;
        }
        let model = ScannedModel { is_same: true, ..model.clone() };
        Some(Self { name: name.clone(), model, paths, fingerprint, is_flat, read_at: Instant::now() })
    }

    /// Returns true if scanning the folder would find the same.
    pub(super) fn holds(&self, is_flat: bool) -> bool {
        self.is_flat == is_flat
            && self.read_at.elapsed() < READ_AGAIN_AFTER
            && self.fingerprint.is_of(self.paths.iter().map(PathBuf::as_path))
    }

    /// Adds the model to the result of a scan.
    pub(super) fn tell(&self, found: &mut RepositoryScan) {
        found.models.insert(self.name.clone(), self.model.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lifecycle::{FolderSource, ModelSource};

    #[test]
    fn a_folder_is_known_once_it_rests_and_until_anything_in_it_changes() {
        let repository = tempfile::tempdir().unwrap();
        let root = repository.path();
        let folder = root.join("iris");
        fs::create_dir_all(folder.join("1")).unwrap();
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx");
        fs::copy(model, folder.join("1/model.onnx")).unwrap();
        let known = |age: Duration| {
            let found = FolderSource::new(root.to_path_buf()).scan().unwrap();
            Known::of(&folder, false, &found, |_| None, SystemTime::now() + age)
        };
        assert!(known(Duration::ZERO).is_none(), "it may change once more at the same time");
        let rests = || known(Duration::from_secs(10)).unwrap();
        let first = rests();
        assert!(first.holds(false) && !first.holds(true));
        let mut found = RepositoryScan::default();
        first.tell(&mut found);
        assert!(found.models.values().all(|model| model.is_same && model.candidates.len() == 1));

        for (path, content) in
            [("1/model.onnx", "other"), ("model.toml", "versions = 1"), ("1/model.onnx.minisig", "signature")]
        {
            fs::copy(model, folder.join("1/model.onnx")).unwrap();
            let before = rests();
            assert!(before.holds(false));
            fs::write(folder.join(path), content).unwrap();
            assert!(!before.holds(false), "{path}");
        }
        fs::copy(model, folder.join("1/model.onnx")).unwrap();
        let before = rests();
        fs::create_dir(folder.join("2")).unwrap();
        assert!(!before.holds(false), "another version may come");
        assert!(known(Duration::from_secs(10)).is_none(), "something is to be told of");
    }
}
