//! Private copies of what serves and served before, named by what is in them.
//!
//! Parts of a model's files are read while it serves. What a user does to a file must not change answers, so nothing is
//! ever loaded from the repository itself.
//!
//! ```text
//! state/lock                    locked while a gateway uses the folder
//! state/repository              the repository whose state this is; those of others lie in state/others
//! state/deployments/NAME.json   what serves of a model, what served before
//! state/history.jsonl           everything that was done, a line each
//! state/copies/SHA256/files/    the files of one content, as the model's file names them
//! ```

mod copy;
mod deployments;
mod folder;
mod owner;
mod snapshot;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rustix::fs::statvfs;
use serde_json::Value;

pub(super) use copy::digest_of;
pub use deployments::{Deployment, ModelDeployments};
pub use snapshot::{CopiedFile, Manifest, Snapshot};

use super::{Candidate, Reason, Refusal, model_config::Pin};
use crate::model::{Digest, ModelName};
use folder::{COPIES, DEPLOYMENTS, Folder};

/// A folder or a copy that cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct StoreError {
    what: String,
    cause: String,
}

impl StoreError {
    pub(super) fn new(what: impl Into<String>, cause: &dyn std::error::Error) -> Self {
        Self { what: what.into(), cause: cause.to_string() }
    }
}

/// The folder of the copies and of what is remembered.
#[derive(Debug)]
pub struct Store {
    folder: Arc<Folder>,
    /// Copies that something holds.
    live: Mutex<HashMap<Digest, Weak<Snapshot>>>,
}

impl Store {
    /// The folder that lasts, for what serves of this repository, or, where that cannot be, a temporary one and the reason.
    ///
    /// # Errors
    ///
    /// When neither can be made.
    pub fn open(directory: &Path, repository: &Path) -> Result<(Self, Option<StoreError>), StoreError> {
        match Folder::lasting(directory, repository) {
            Ok(folder) => Ok((Self::of(folder), None)),
            Err(error) => {
                let what = format!("models.state_directory ({}) cannot be used", directory.display());
                Ok((Self::temporary()?, Some(StoreError::new(what, &error))))
            }
        }
    }

    /// A folder that is gone when nothing uses it any more.
    ///
    /// # Errors
    ///
    /// When it cannot be made, for example because the file system is read-only.
    pub fn temporary() -> Result<Self, StoreError> {
        Ok(Self::of(Folder::temporary()?))
    }

    fn of(folder: Folder) -> Self {
        Self { folder: Arc::new(folder), live: Mutex::default() }
    }

    /// Whether what is in it will be there after a restart.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.folder.is_lasting()
    }

    /// Returns true if the folder had the state of another repository, which this one does not go on with.
    #[must_use]
    pub fn begins_beside_another(&self) -> bool {
        self.folder.begins
    }

    /// A file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    /// What is remembered of each model, or why not.
    ///
    /// # Errors
    ///
    /// When none of it can be read.
    pub fn deployments(&self) -> io::Result<BTreeMap<ModelName, io::Result<ModelDeployments>>> {
        deployments::read_all(&self.path(DEPLOYMENTS))
    }

    /// Remembers this of a model.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn remember(&self, model: &ModelName, deployments: &ModelDeployments) -> io::Result<()> {
        deployments::write(&self.path(DEPLOYMENTS), model, deployments)
    }

    /// Copies a candidate's files as they are now.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or copied, lies outside of the model's folder, or is not what the pin allows.
    pub fn take(
        &self,
        candidate: &Candidate,
        contract: Option<&Value>,
        pin: &Pin,
    ) -> Result<Arc<Snapshot>, Refusal> {
        let incoming = tempfile::Builder::new()
            .prefix(".incoming-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(self.path(COPIES))
            .map_err(|error| copy::unreadable(&error))?;
        self.check_room(candidate)?;
        let manifest = copy::copy(candidate, contract, pin, &incoming.path().join(snapshot::FILES))?;
        manifest.write(incoming.path()).map_err(|error| copy::unreadable(&error))?;

        let mut live = self.live();
        if let Some(same) = live.get(&manifest.content).and_then(Weak::upgrade) {
            return Ok(same);
        }
        let folder = self.folder_of(manifest.content);
        // Nothing holds what may still lie there, so it may go.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| copy::unreadable(&error))?;
        }
        fs::rename(incoming.path(), &folder).map_err(|error| copy::unreadable(&error))?;
        // Its name is not there any more to be removed.
        let _ = incoming.keep();
        let snapshot = Arc::new(Snapshot::new(folder, manifest, Arc::clone(&self.folder)));
        live.insert(snapshot.content(), Arc::downgrade(&snapshot));
        Ok(snapshot)
    }

    /// Whether a candidate's files can be copied at all: a file may claim to be larger than any disk.
    ///
    /// # Errors
    ///
    /// When there is less room than they take.
    pub fn check_room(&self, candidate: &Candidate) -> Result<(), Refusal> {
        let bytes = candidate.bytes();
        let room = statvfs(&self.folder.path)
            .map(|volume| volume.f_bavail.saturating_mul(volume.f_frsize))
            .map_err(|error| copy::unreadable(&error.into()))?;
        if bytes <= room {
            return Ok(());
        }
        let detail = format!(
            "copying it takes {} MiB, and {} MiB are free in models.state_directory",
            bytes >> 20,
            room >> 20
        );
        Err(Refusal::new(Reason::Unreadable, detail))
    }

    /// A copy that was made before. Whether it is still whole is for [`Snapshot::verify`] to say: it may take long, and a
    /// copy may never be loaded again.
    ///
    /// # Errors
    ///
    /// When it is gone, or another one.
    pub fn reopen(&self, content: Digest) -> Result<Arc<Snapshot>, StoreError> {
        let mut live = self.live();
        if let Some(same) = live.get(&content).and_then(Weak::upgrade) {
            return Ok(same);
        }
        let folder = self.folder_of(content);
        let failed = |error: io::Error| {
            StoreError::new(format!("the copy {} cannot be used", content.short()), &error)
        };
        let manifest = Manifest::read(&folder, content).map_err(failed)?;
        let snapshot = Arc::new(Snapshot::new(folder, manifest, Arc::clone(&self.folder)));
        live.insert(content, Arc::downgrade(&snapshot));
        Ok(snapshot)
    }

    /// Removes every copy that nothing holds, but for the `remembered` ones.
    pub fn sweep(&self, remembered: &HashSet<Digest>) {
        let mut live = self.live();
        live.retain(|_, snapshot| snapshot.strong_count() > 0);
        let Ok(entries) = fs::read_dir(self.path(COPIES)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kept = name
                .parse()
                .is_ok_and(|content| live.contains_key(&content) || remembered.contains(&content));
            // What another thread is just copying has a name that is no digest; what a killed process left, too.
            let foreign = name.parse::<Digest>().is_err();
            if !kept
                && !foreign
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::warn!(%error, copy = name, "a private copy of a model cannot be removed");
            }
        }
    }

    fn folder_of(&self, content: Digest) -> PathBuf {
        self.path(COPIES).join(content.to_string())
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Weak<Snapshot>>> {
        // The map is whole at every point where a panic could leave it.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::lifecycle::Source;

    fn repository(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn iris() -> Vec<u8> {
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx")).unwrap()
    }

    fn candidate(repository: &TempDir) -> Candidate {
        let found = Source::new(repository.path().to_path_buf()).look().unwrap();
        found.models.into_values().next().unwrap().candidates.into_values().next().unwrap()
    }

    #[test]
    fn a_copy_does_not_change_with_its_source_and_goes_when_nothing_holds_it() {
        let repository = repository(&[("iris/1/model.onnx", &iris())]);
        let (store, problem) = Store::open(&repository.path().join(".state"), repository.path()).unwrap();
        assert_eq!((problem, store.is_lasting()), (None, true));
        let snapshot = store.take(&candidate(&repository), None, &Pin::default()).unwrap();
        fs::write(repository.path().join("iris/1/model.onnx"), b"other").unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(snapshot.folder()), mode(&snapshot.file())), (0o700, 0o400));
        assert_eq!(fs::read(snapshot.file()).unwrap(), iris());
        assert_eq!(snapshot.digest(), Digest::of(&iris()));
        let (content, file) = (snapshot.content(), snapshot.file());
        store.sweep(&HashSet::new());
        assert!(file.exists());
        drop(snapshot);
        store.sweep(&[content].into());
        assert!(file.exists() && store.reopen(content).is_ok(), "it is remembered");
        store.sweep(&HashSet::new());
        assert!(!file.exists());
        assert!(store.reopen(content).is_err());
    }

    #[test]
    fn a_copy_that_was_tampered_with_is_not_used() {
        let repository = repository(&[("iris.onnx", &iris())]);
        let state = repository.path().join(".state");
        let (store, _) = Store::open(&state, repository.path()).unwrap();
        let snapshot = store.take(&candidate(&repository), None, &Pin::default()).unwrap();
        let (content, file) = (snapshot.content(), snapshot.file());
        drop((snapshot, store));
        let (store, _) = Store::open(&state, repository.path()).unwrap();
        assert!(store.reopen(content).unwrap().verify().is_ok());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, b"something else").unwrap();
        let error = store.reopen(content).unwrap().verify().unwrap_err();
        assert!(error.to_string().contains("iris.onnx is not what it was"), "{error}");
    }

    #[test]
    fn a_copy_of_an_older_gateway_shows_the_digest_of_its_data_files_too() {
        let read = |name: &str| {
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/external").join(name)).unwrap()
        };
        let (model, weights) = (read("model.onnx"), read("weights.bin"));
        let repository = repository(&[("ext/1/model.onnx", &model), ("ext/1/weights.bin", &weights)]);
        let (store, _) = Store::open(&repository.path().join(".state"), repository.path()).unwrap();
        let snapshot = store.take(&candidate(&repository), None, &Pin::default()).unwrap();
        let lines = format!("{}\n{}\n", Digest::of(&model), Digest::of(&weights));
        let (content, digest) = (snapshot.content(), Digest::of(lines.as_bytes()));
        assert_eq!(snapshot.digest(), digest);
        let manifest = snapshot.folder().join("manifest.json");
        let mut written: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        assert_eq!(written["digest"], digest.to_string());
        written["digest"] = Digest::of(&model).to_string().into();
        fs::write(&manifest, written.to_string()).unwrap();
        drop(snapshot);
        let again = store.reopen(content).unwrap();
        assert_eq!((again.digest(), again.content()), (digest, content));
    }

    #[test]
    fn the_identity_is_of_everything_that_answers_depend_on() {
        let repository = repository(&[("iris.onnx", &iris())]);
        let store = Store::temporary().unwrap();
        let take = |contract: Option<Value>| {
            store.take(&candidate(&repository), contract.as_ref(), &Pin::default()).unwrap()
        };
        let plain = take(None);
        assert!(Arc::ptr_eq(&plain, &take(None)), "one copy of one content");
        let overridden = take(Some(serde_json::json!({"classes": ["a"]})));
        assert_ne!(overridden.content(), plain.content());
        assert_eq!(overridden.digest(), plain.digest());
    }

    #[test]
    fn only_what_is_pinned_is_taken() {
        let repository = repository(&[("iris.onnx", &iris())]);
        let store = Store::temporary().unwrap();
        let pinned = |digest| Pin { sha256: vec![digest], minisign_public_key: None };
        assert!(store.take(&candidate(&repository), None, &pinned(Digest::of(&iris()))).is_ok());
        let refusal = store.take(&candidate(&repository), None, &pinned(Digest::of(b"other"))).unwrap_err();
        assert_eq!(refusal.reason, Reason::DigestMismatch);
    }

    #[test]
    fn two_gateways_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = Store::open(folder.path(), folder.path()).unwrap();
        let (second, problem) = Store::open(folder.path(), folder.path()).unwrap();
        assert!(first.is_lasting() && !second.is_lasting());
        assert!(problem.unwrap().to_string().contains("another gateway uses it"));
        let nowhere = Store::open(Path::new("/proc/nowhere"), folder.path()).unwrap();
        assert!(nowhere.1.unwrap().to_string().contains("models.state_directory (/proc/nowhere)"));
    }
}
