//! The folder of a store: locked while it is in use, lasting or not.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{StoreError, owner};
use crate::config::environment::temporary_directory;

/// How the names of temporary folders begin.
const PREFIX: &str = "onnx-gateway-";

/// The file by whose lock one sees that a folder is in use.
const LOCK: &str = "lock";

/// The folder of what is remembered of each model.
pub(super) const DEPLOYMENTS: &str = "deployments";

/// The folder of the copies.
pub(super) const COPIES: &str = "copies";

/// A folder that is locked for as long as it is in use.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// True if the state in it belongs to another repository, so that this one begins without a past.
    pub(super) begins: bool,
    /// The system lets go of the lock when the process ends, however it ends.
    _lock: File,
    /// Removes the folder, if it is not to last.
    temporary: Option<TempDir>,
}

impl Folder {
    /// The folder at this path, made if it is not there, or the one within it that belongs to this repository.
    pub(super) fn lasting(path: &Path, repository: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let path = path.canonicalize()?;
        let lock = lock(&path)?;
        let (path, begins) = owner::folder_of(path, repository)?;
        let folder = Self { begins, ..Self::with(path, lock, None)? };
        // What a killed process was about to copy.
        for entry in fs::read_dir(folder.path.join(COPIES))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(".incoming-") {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(folder)
    }

    /// A folder that is removed when it is dropped.
    pub(super) fn temporary() -> Result<Self, StoreError> {
        let parent = temporary_directory();
        let failed = |error: io::Error| {
            let what = format!("no folder for private copies can be made in {}", parent.display());
            StoreError::new(format!("{what} (set models.state_directory, or TMPDIR)"), &error)
        };
        remove_abandoned(&parent);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700));
        let directory = builder.tempdir_in(&parent).map_err(failed)?;
        let path = directory.path().to_path_buf();
        lock(&path).and_then(|lock| Self::with(path, lock, Some(directory))).map_err(failed)
    }

    /// Whether it will be there after a restart.
    pub(super) fn is_lasting(&self) -> bool {
        self.temporary.is_none()
    }

    fn with(path: PathBuf, lock: File, temporary: Option<TempDir>) -> io::Result<Self> {
        for name in [COPIES, DEPLOYMENTS] {
            DirBuilder::new().recursive(true).mode(0o700).create(path.join(name))?;
        }
        Ok(Self { path, begins: false, _lock: lock, temporary })
    }
}

/// The lock of a folder, for as long as it is held.
fn lock(folder: &Path) -> io::Result<File> {
    let lock = File::create(folder.join(LOCK))?;
    lock.try_lock().map_err(|_| io::Error::other("another gateway uses it"))?;
    Ok(lock)
}

/// Removes the temporary folders of processes that were killed and could not do it themselves.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
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
