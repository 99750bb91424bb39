//! Private copies of current and previous deployments, named by their content, and the recorded state of each model.
//!
//! Parts of a model's files are read while it serves. A user's change to a file must not change outputs, so nothing is
//! ever loaded from the repository itself.
//!
//! ```text
//! state/lock                    shared by the gateways that use the folder
//! state/write-lock              locked for the moment that one of them writes
//! state/repository              the repository whose state this is; those of others lie in state/others
//! state/deployments/NAME.json   current and previous deployments of a model
//! state/history.jsonl           the deployment history, one entry per line
//! state/copies/SHA256/files/    the files of one content, as the model's file names them
//! state/users/NAME/             a gateway that uses the folder, and the copies that it holds
//! ```
//!
//! Several gateways may use it at a time, as in a rolling update. Each reads what the others write, and merges its own
//! changes into the files ([`merge`]). The folder may be unusable: removed, not writable, or on a full disk. Until it
//! is usable again, changes are kept in memory.

mod copies;
mod copy;
mod deployments;
mod folder;
mod merge;
mod owner;
mod remembered;
mod snapshot;
mod users;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

pub(super) use copy::digest_of;
pub use deployments::{Deployment, ModelDeployments};
pub use merge::Followed;
pub use snapshot::{CopiedFile, CopiedFiles, Manifest, Snapshot};

use crate::model::Digest;
use folder::Folder;
use remembered::Remembered;

/// The file of the deployment history.
const HISTORY_FILE: &str = "history.jsonl";

/// Pause before an unusable folder is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The failure to make or read a folder or a copy.
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

/// The store of copies and recorded state.
#[derive(Debug)]
pub struct Store {
    /// The state directory and the repository. `None` for a temporary store.
    origin: Option<(PathBuf, PathBuf)>,
    place: Mutex<Place>,
    /// Copies in use.
    live: Mutex<HashMap<Digest, Weak<Snapshot>>>,
    remembered: Mutex<Remembered>,
}

/// The folders in use now.
#[derive(Debug, Default)]
struct Place {
    lasting: Option<Arc<Folder>>,
    /// A folder that is only read, while there is no lasting folder that may be written.
    readable: Option<PathBuf>,
    /// A folder for copies, while there is no lasting folder.
    temporary: Option<Arc<Folder>>,
    /// The reason why there is no lasting folder.
    problem: Option<StoreError>,
    tried_at: Option<Instant>,
    /// Incremented whenever another lasting folder is used, or the old one again.
    generation: u64,
}

impl Store {
    /// Opens the state directory for this repository. If it cannot be used, it is read if possible, copies go into a
    /// temporary folder, and [`Store::refresh`] tries again.
    ///
    /// # Errors
    ///
    /// If it can be neither written nor read, and no temporary folder can be made.
    pub fn open(directory: &Path, repository: &Path) -> Result<Self, StoreError> {
        let store =
            Self { origin: Some((directory.to_path_buf(), repository.to_path_buf())), ..Self::nowhere() };
        store.connect(&mut store.place(), true);
        if store.place().lasting.is_none()
            && let Err(error) = store.folder_for_copies()
            && store.place().readable.is_none()
        {
            return Err(error);
        }
        Ok(store)
    }

    /// Creates a folder that is removed once it is not used any more.
    ///
    /// # Errors
    ///
    /// If it cannot be made, for example because the file system is read-only.
    pub fn temporary() -> Result<Self, StoreError> {
        let store = Self::nowhere();
        store.folder_for_copies()?;
        Ok(store)
    }

    fn nowhere() -> Self {
        Self { origin: None, place: Mutex::default(), live: Mutex::default(), remembered: Mutex::default() }
    }

    /// Reconnects the lasting folder: one that was removed is made again, one that could not be used is tried again.
    pub fn refresh(&self) {
        let mut place = self.place();
        if place.lasting.as_ref().is_some_and(|folder| folder.is_whole()) {
            return;
        }
        let is_due = place.tried_at.is_none_or(|at| at.elapsed() >= RETRY_AFTER);
        if place.lasting.take().is_some() || is_due {
            self.connect(&mut place, false);
        }
    }

    /// Returns the reason why recorded state ends with the process. `None` if it does not.
    #[must_use]
    pub fn problem(&self) -> Option<StoreError> {
        self.place().problem.clone()
    }

    /// Returns a number that changes whenever the lasting folder is used again, after it was removed or unusable.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.place().generation
    }

    /// Returns true if the folder has the state of another repository, so that this one starts without deployments.
    #[must_use]
    pub fn begins_beside_another(&self) -> bool {
        self.place().lasting.as_ref().is_some_and(|folder| folder.begins)
    }

    /// Returns true if the file system has no locks, so that gateways do not see each other.
    #[must_use]
    pub fn lacks_locks(&self) -> bool {
        self.place().lasting.as_ref().is_some_and(|folder| !folder.has_locks())
    }

    /// Returns the file of the history. `None` if no folder can be read.
    #[must_use]
    pub fn history_file(&self) -> Option<PathBuf> {
        let place = self.place();
        let lasting = place.lasting.as_ref().map(|folder| &folder.path);
        lasting.or(place.readable.as_ref()).map(|folder| folder.join(HISTORY_FILE))
    }

    fn connect(&self, place: &mut Place, is_first: bool) {
        let Some((directory, repository)) = &self.origin else { return };
        place.tried_at = Some(Instant::now());
        match Folder::lasting(directory, repository, is_first) {
            Ok(folder) => {
                place.lasting = Some(Arc::new(folder));
                (place.readable, place.problem) = (None, None);
                place.generation += 1;
                if !is_first {
                    self.remembered().begin_again();
                }
            }
            Err(error) => {
                let what = format!("models.state_directory ({}) cannot be used", directory.display());
                place.problem = Some(StoreError::new(what, &error));
                place.readable = owner::find(directory, repository).ok().flatten();
            }
        }
    }

    /// Returns the lasting folder, else a temporary one.
    fn folder_for_copies(&self) -> Result<Arc<Folder>, StoreError> {
        self.refresh();
        let mut place = self.place();
        if let Some(folder) = &place.lasting {
            return Ok(Arc::clone(folder));
        }
        // A cleaner of old temporary files may have removed it.
        if let Some(folder) = place.temporary.as_ref().filter(|folder| folder.is_whole()) {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(Folder::temporary()?);
        place.temporary = Some(Arc::clone(&folder));
        Ok(folder)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        lock(&self.place)
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Digest, Weak<Snapshot>>> {
        lock(&self.live)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        lock(&self.remembered)
    }
}

/// Locks a mutex, poisoned or not: its content is consistent at every point where a panic could leave it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt};

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        lifecycle::{CandidateFiles, FolderSource, ModelSource, Reason, Refusal, model_config::Pin},
        model::ModelName,
    };

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

    /// Copies the only candidate of the repository.
    fn take(
        store: &Store,
        repository: &TempDir,
        contract: Option<&Value>,
        pin: &Pin,
    ) -> Result<Arc<Snapshot>, Refusal> {
        let source = FolderSource::new(repository.path().to_path_buf());
        let mut models = source.scan().unwrap().models.into_values();
        let candidate = models.next().unwrap().candidates.into_values().next().unwrap();
        store.take(CandidateFiles::new(&source, &candidate), contract, pin)
    }

    #[test]
    fn a_copy_does_not_change_with_its_source_and_goes_when_nothing_holds_it() {
        let repository = repository(&[("iris/1/model.onnx", &iris())]);
        let store = Store::open(&repository.path().join(".state"), repository.path()).unwrap();
        assert_eq!((store.problem(), store.follow().len()), (None, 0));
        let snapshot = take(&store, &repository, None, &Pin::default()).unwrap();
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
        let store = Store::open(&state, repository.path()).unwrap();
        let snapshot = take(&store, &repository, None, &Pin::default()).unwrap();
        let (content, file) = (snapshot.content(), snapshot.file());
        drop((snapshot, store));
        let store = Store::open(&state, repository.path()).unwrap();
        assert!(store.reopen(content).unwrap().verify().is_ok());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, b"something else").unwrap();
        let error = store.reopen(content).unwrap().verify().unwrap_err();
        assert!(error.to_string().contains("iris.onnx has changed"), "{error}");
    }

    #[test]
    fn a_copy_of_an_older_gateway_shows_the_digest_of_its_data_files_too() {
        let read = |name: &str| {
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/external").join(name)).unwrap()
        };
        let (model, weights) = (read("model.onnx"), read("weights.bin"));
        let repository = repository(&[("ext/1/model.onnx", &model), ("ext/1/weights.bin", &weights)]);
        let store = Store::open(&repository.path().join(".state"), repository.path()).unwrap();
        let snapshot = take(&store, &repository, None, &Pin::default()).unwrap();
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
        let with =
            |contract: Option<Value>| take(&store, &repository, contract.as_ref(), &Pin::default()).unwrap();
        let plain = with(None);
        assert!(Arc::ptr_eq(&plain, &with(None)), "one copy of one content");
        let overridden = with(Some(serde_json::json!({"classes": ["a"]})));
        assert_ne!(overridden.content(), plain.content());
        assert_eq!(overridden.digest(), plain.digest());
    }

    #[test]
    fn only_what_is_pinned_is_taken() {
        let repository = repository(&[("iris.onnx", &iris())]);
        let store = Store::temporary().unwrap();
        let pinned = |digest| Pin { sha256: vec![digest], minisign_public_key: None };
        assert!(take(&store, &repository, None, &pinned(Digest::of(&iris()))).is_ok());
        let refusal = take(&store, &repository, None, &pinned(Digest::of(b"other"))).unwrap_err();
        assert_eq!(refusal.reason, Reason::DigestMismatch);
    }

    #[test]
    fn neither_of_two_gateways_removes_what_the_other_holds() {
        let repository = repository(&[("iris.onnx", &iris())]);
        let state = repository.path().join(".state");
        let open = || Store::open(&state, repository.path()).unwrap();
        let (first, second) = (open(), open());
        assert!(first.follow().is_empty() && second.follow().is_empty());
        let taken = |store: &Store| take(store, &repository, None, &Pin::default()).unwrap();
        let (one, two) = (taken(&first), taken(&second));
        assert_eq!((one.file(), one.content()), (two.file(), two.content()), "one copy on the disk");
        let file = one.file();
        drop(one);
        assert!(first.sweep(&HashSet::new()) && file.exists());
        drop(two);
        assert!(second.sweep(&HashSet::new()) && !file.exists(), "the last one that held it");
    }

    fn taken_back(bytes: &[u8]) -> ModelDeployments {
        ModelDeployments { rolled_back: [Digest::of(bytes)].into(), ..ModelDeployments::default() }
    }

    #[test]
    fn each_of_two_gateways_follows_what_the_other_takes_back() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path(), folder.path()).unwrap();
        let (first, second) = (open(), open());
        let iris: ModelName = "iris".parse().unwrap();
        first.remember(&iris, &taken_back(b"2")).unwrap();
        let followed = second.follow();
        assert_eq!(followed.len(), 1);
        assert_eq!(followed[0].1.taken_back, [Digest::of(b"2")].into());
        assert!(second.follow().is_empty());
        // Both at once: the second does not know of the first one's write when it writes.
        first.remember(&iris, &ModelDeployments::default()).unwrap();
        let mut own = taken_back(b"2");
        own.rolled_back.insert(Digest::of(b"3"));
        let followed = second.remember(&iris, &own).unwrap();
        assert_eq!(followed.allowed, [Digest::of(b"2")].into());
        assert_eq!(open().deployments().unwrap()[&iris].as_ref().unwrap(), &taken_back(b"3"));
    }

    #[test]
    fn a_folder_that_was_removed_or_is_used_alone_is_used_once_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let iris: ModelName = "iris".parse().unwrap();
        let store = Store::open(&state, folder.path()).unwrap();
        let generation = store.generation();
        store.remember(&iris, &taken_back(b"2")).unwrap();
        fs::remove_dir_all(&state).unwrap();
        store.refresh();
        assert!(store.generation() > generation && store.unwritten() == [iris.clone()]);
        assert!(store.follow().is_empty(), "that the files are gone is not a wish");
        store.remember(&iris, &taken_back(b"2")).unwrap();
        assert!(store.unwritten().is_empty());
        drop(store);

        let earlier = crate::system::file_lock::FileLock::alone(&state.join("lock")).unwrap();
        let store = Store::open(&state, folder.path()).unwrap();
        assert!(store.problem().unwrap().to_string().contains("another gateway holds its lock"));
        assert_eq!(store.deployments().unwrap()[&iris].as_ref().unwrap(), &taken_back(b"2"), "it is read");
        let mut own = taken_back(b"2");
        own.rolled_back.insert(Digest::of(b"3"));
        assert!(store.remember(&iris, &own).is_err());
        drop(earlier);
        lock(&store.place).tried_at = None;
        store.refresh();
        assert_eq!(store.problem(), None);
        let followed: Vec<_> = store.follow();
        assert!(followed.iter().all(|(_, followed)| followed.allowed.is_empty()));
        store.remember(&iris, &own).unwrap();
        assert_eq!(store.deployments().unwrap()[&iris].as_ref().unwrap(), &own);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = Store::open(Path::new("/proc/nowhere"), folder.path()).unwrap();
        assert!(nowhere.problem().unwrap().to_string().contains("models.state_directory (/proc/nowhere)"));
    }
}
