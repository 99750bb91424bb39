//! Private copies of model files, named by what is in them.
//!
//! ONNX Runtime maps parts of a model's files and reads others when it pleases: a file that a user overwrites under a
//! live session changes its answers, and one that is cut short kills the process. So nothing is ever loaded from the
//! repository itself.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::{config::environment::temporary_directory, model::Digest};

/// How the folders' names begin.
const PREFIX: &str = "onnx-gateway-";

/// The file in each by whose lock one sees that it is in use.
const LOCK: &str = "lock";

/// How much is read at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// A folder or a copy that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct SnapshotError {
    what: String,
    cause: String,
}

impl SnapshotError {
    pub(super) fn new(what: impl Into<String>, cause: &io::Error) -> Self {
        Self { what: what.into(), cause: cause.to_string() }
    }
}

/// The folder of the private copies; it is removed with the last of them.
#[derive(Debug)]
pub struct Snapshots {
    folder: Arc<Folder>,
}

/// A folder that is locked for as long as it is in use.
#[derive(Debug)]
struct Folder {
    directory: TempDir,
    /// The system lets go of the lock when the process ends, however it ends.
    _lock: File,
}

/// A private copy of a model file; it is removed when it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    file: PathBuf,
    digest: Digest,
    /// Keeps the folder.
    _folder: Arc<Folder>,
}

impl Snapshots {
    /// A new folder that only this user can enter, in `parent` or the system's temporary folder.
    ///
    /// # Errors
    ///
    /// When it cannot be made, for example because the file system is read-only.
    pub fn new(parent: Option<&Path>) -> Result<Self, SnapshotError> {
        let parent = parent.map_or_else(temporary_directory, Path::to_path_buf);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700));
        let directory = builder.tempdir_in(&parent).map_err(|error| {
            let what = format!(
                "no folder for private copies of the models can be made in {} (set models.snapshot_directory)",
                parent.display()
            );
            SnapshotError::new(what, &error)
        })?;
        remove_abandoned(&parent, directory.path());
        let lock = File::create(directory.path().join(LOCK)).and_then(|file| file.lock().map(|()| file));
        let lock = lock
            .map_err(|error| SnapshotError::new("the folder for private copies cannot be locked", &error))?;
        Ok(Self { folder: Arc::new(Folder { directory, _lock: lock }) })
    }

    /// Copies a file as it is now.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or the copy not written.
    pub fn take(&self, source: &Path) -> Result<Snapshot, SnapshotError> {
        let failed = |error: io::Error| SnapshotError::new("the model file cannot be copied", &error);
        let mut input = File::open(source).map_err(failed)?;
        // Two copies of the same bytes may live at a time, so the name has a random part.
        let mut copy = tempfile::Builder::new()
            .suffix(".onnx")
            .tempfile_in(self.folder.directory.path())
            .map_err(failed)?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = input.read(&mut block).map_err(failed)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            copy.write_all(&block[..read]).map_err(failed)?;
        }
        let file = copy.into_temp_path().keep().map_err(|error| failed(error.error))?;
        let snapshot =
            Snapshot { file, digest: Digest::from_hasher(hasher), _folder: Arc::clone(&self.folder) };
        fs::set_permissions(&snapshot.file, fs::Permissions::from_mode(0o400)).map_err(failed)?;
        Ok(snapshot)
    }
}

/// Removes the folders of processes that were killed and could not do it themselves.
fn remove_abandoned(parent: &Path, own: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path != own) {
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        // One without a lock file is just being made, or is not ours to judge; opening a pipe would wait for ever.
        let lock = path.join(LOCK);
        let is_file = fs::symlink_metadata(&lock).is_ok_and(|metadata| metadata.is_file());
        let Some(lock) = (ours && is_file).then(|| File::open(lock).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() && fs::remove_dir_all(&path).is_ok() {
            tracing::info!(folder = %path.display(), "private copies of a gateway that was killed were removed");
        }
    }
}

impl Snapshot {
    /// Where the copy is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The sha256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::warn!(%error, "a private copy of a model cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_change_with_its_source_and_goes_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("model.onnx");
        fs::write(&source, b"first").unwrap();
        let snapshots = Snapshots::new(Some(folder.path())).unwrap();
        let snapshot = snapshots.take(&source).unwrap();
        fs::write(&source, b"other").unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(snapshot.file().parent().unwrap()), mode(snapshot.file())), (0o700, 0o400));
        assert_eq!(fs::read(snapshot.file()).unwrap(), b"first");
        assert_eq!(snapshot.digest(), Digest::of(b"first"));
        let copy = snapshot.file().to_path_buf();
        drop(snapshots);
        assert!(copy.exists());
        drop(snapshot);
        assert!(!copy.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the source is left");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let abandoned = folder.path().join("onnx-gateway-killed");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        fs::write(abandoned.join("model.onnx"), "").unwrap();
        let first = Snapshots::new(Some(folder.path())).unwrap();
        assert!(!abandoned.exists());
        let second = Snapshots::new(Some(folder.path())).unwrap();
        assert!(first.folder.directory.path().exists() && second.folder.directory.path().exists());
    }

    #[test]
    fn says_what_to_do_when_there_is_no_place() {
        let error = Snapshots::new(Some(Path::new("/nonexistent"))).unwrap_err();
        assert!(error.to_string().contains("models.snapshot_directory"), "{error}");
    }
}
