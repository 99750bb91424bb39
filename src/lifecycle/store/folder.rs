//! The folder of a store: shared with other gateways, or temporary and private to this process.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    StoreError, owner,
    users::{Others, User},
};
use crate::{
    config::environment::temporary_directory,
    model::Digest,
    system::file_lock::{self, FileLock},
};

/// Prefix of temporary folders.
const PREFIX: &str = "onnx-gateway-";

/// The file whose lock says that a folder is in use. Gateways share the lock; earlier releases take it exclusively.
const LOCK: &str = "lock";

/// The file that is locked while a gateway writes.
const WRITE_LOCK: &str = "write-lock";

/// The folder of recorded state.
pub(super) const DEPLOYMENTS: &str = "deployments";

/// The folder of the copies.
pub(super) const COPIES: &str = "copies";

/// Prefix of copies that are being made.
pub(super) const INCOMING: &str = ".incoming-";

/// Prefix of copies that are being removed.
pub(super) const OUTGOING: &str = ".outgoing-";

/// A folder in use.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// True if the state directory belongs to another repository, so that this one starts without deployments.
    pub(super) begins: bool,
    /// The state directory, which contains the folder or is the folder.
    root: PathBuf,
    lock: FileLock,
    /// `None` if the folder is private to this process.
    user: Option<User>,
    /// Removes a temporary folder when it is dropped.
    temporary: Option<TempDir>,
}

impl Folder {
    /// Opens or creates the folder at this path, or the one within it that belongs to this repository.
    ///
    /// `is_first` is true if this process has not copied anything there yet.
    pub(super) fn lasting(root: &Path, repository: &Path, is_first: bool) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let root = root.canonicalize()?;
        let lock = FileLock::share(&root.join(LOCK))?;
        let writing = FileLock::wait(&root.join(WRITE_LOCK))?;
        let (path, begins) = owner::folder_of(root.clone(), repository)?;
        make_parts(&path)?;
        let user = User::join(&path)?;
        if is_first && user.others().count == 0 {
            remove_unfinished(&path)?;
        }
        drop(writing);
        Ok(Self { path, begins, root, lock, user: Some(user), temporary: None })
    }

    /// Creates a folder that is removed when it is dropped.
    pub(super) fn temporary() -> Result<Self, StoreError> {
        let parent = temporary_directory();
        let failed = |error: io::Error| {
            let what = format!("no folder for private copies can be created in {}", parent.display());
            StoreError::new(format!("{what} (set models.state_directory, or TMPDIR)"), &error)
        };
        remove_abandoned(&parent);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700));
        let directory = builder.tempdir_in(&parent).map_err(failed)?;
        let path = directory.path().to_path_buf();
        let lock = FileLock::alone(&path.join(LOCK)).map_err(failed)?;
        make_parts(&path).map_err(failed)?;
        let root = path.clone();
        Ok(Self { path, begins: false, root, lock, user: None, temporary: Some(directory) })
    }

    /// Returns true if the folder survives a restart.
    pub(super) fn is_lasting(&self) -> bool {
        self.temporary.is_none()
    }

    /// Returns true if the file system has locks, so that processes in other containers or machines are visible.
    pub(super) fn has_locks(&self) -> bool {
        self.lock.is_held
    }

    /// Returns true if the folder and all its parts are still there: it may have been removed, or another file system
    /// mounted over it.
    pub(super) fn is_whole(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let held = self.lock.file.metadata().map(identity);
        let found = fs::metadata(self.root.join(LOCK)).map(identity);
        held.is_ok_and(|held| found.is_ok_and(|found| held == found))
            && [COPIES, DEPLOYMENTS].iter().all(|part| self.path.join(part).is_dir())
            && self.user.as_ref().is_none_or(User::is_there)
    }

    /// Takes the write lock, which gateways hold for a moment each.
    pub(super) fn lock_to_write(&self) -> io::Result<Option<FileLock>> {
        self.user.as_ref().map(|_| FileLock::wait(&self.root.join(WRITE_LOCK))).transpose()
    }

    /// Lists the other gateways that use the folder. The caller holds the write lock.
    pub(super) fn others(&self) -> Others {
        self.user.as_ref().map(User::others).unwrap_or_default()
    }

    /// Keeps other gateways from removing a copy, even before it exists.
    pub(super) fn hold(&self, content: Digest) -> io::Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        let _writing = self.lock_to_write()?;
        user.hold(content)
    }

    /// Lets other gateways remove all copies but these.
    pub(super) fn hold_only(&self, is_held: impl Fn(&Digest) -> bool) {
        if let Some(user) = &self.user {
            user.hold_only(is_held);
        }
    }

    /// Returns the path of a copy.
    pub(super) fn copy(&self, content: Digest) -> PathBuf {
        self.path.join(COPIES).join(content.to_string())
    }
}

fn make_parts(path: &Path) -> io::Result<()> {
    [COPIES, DEPLOYMENTS]
        .iter()
        .try_for_each(|part| DirBuilder::new().recursive(true).mode(0o700).create(path.join(part)))
}

/// Removes copies that a killed process left unfinished.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path.join(COPIES))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(INCOMING) || name.starts_with(OUTGOING) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the temporary folders of processes that were killed.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        // A folder without a lock file is being created, or is not ours. Only regular files are opened: opening a pipe
        // would block.
        let lock = path.join(LOCK);
        let is_file = fs::symlink_metadata(&lock).is_ok_and(|metadata| metadata.is_file());
        if ours && is_file && !file_lock::is_held(&lock) && fs::remove_dir_all(&path).is_ok() {
            tracing::info!(folder = %path.display(), "removed the private copies of a killed gateway");
        }
    }
}
