//! The gateways that use one folder at the same time, and the copies that each of them holds. None removes another's.
//!
//! ```text
//! state/users/NAME/lock      locked while the process lives
//! state/users/NAME/SHA256    an empty file for each copy that it holds
//! ```

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    model::Digest,
    system::file_lock::{self, FileLock},
};

/// The folder of all users.
const USERS: &str = "users";

/// The file whose lock says that a user is alive.
const LOCK: &str = "lock";

/// This process as a user of a folder.
#[derive(Debug)]
pub(super) struct User {
    folder: PathBuf,
    _lock: FileLock,
}

/// Other users that are alive.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Number of other users.
    pub(super) count: usize,
    /// The copies that any of them holds.
    pub(super) held: HashSet<Digest>,
}

impl User {
    /// Registers as a user of a folder. The caller holds the write lock.
    pub(super) fn join(folder: &Path) -> io::Result<Self> {
        let users = folder.join(USERS);
        DirBuilder::new().recursive(true).mode(0o700).create(&users)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("gateway-").permissions(fs::Permissions::from_mode(0o700));
        let own = builder.tempdir_in(&users)?;
        let lock = FileLock::alone(&own.path().join(LOCK))?;
        Ok(Self { folder: own.keep(), _lock: lock })
    }

    /// Returns true unless the registration was removed.
    pub(super) fn is_there(&self) -> bool {
        self.folder.join(LOCK).exists()
    }

    /// Records that this process holds a copy. The caller holds the write lock.
    pub(super) fn hold(&self, content: Digest) -> io::Result<()> {
        let file = self.folder.join(content.to_string());
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file).map(drop)
    }

    /// Releases all copies but these.
    pub(super) fn hold_only(&self, is_held: impl Fn(&Digest) -> bool) {
        for content in contents(&self.folder).filter(|content| !is_held(content)) {
            // A file that stays only keeps a copy for longer.
            let _ = fs::remove_file(self.folder.join(content.to_string()));
        }
    }

    /// Lists the other users that are alive, and removes the files of users that were killed. The caller holds the
    /// write lock.
    pub(super) fn others(&self) -> Others {
        let mut others = Others::default();
        let Some(users) = self.folder.parent() else { return others };
        for folder in fs::read_dir(users).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if folder == self.folder {
                continue;
            }
            if file_lock::is_held(&folder.join(LOCK)) {
                others.count += 1;
                others.held.extend(contents(&folder));
            } else if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::debug!(%error, "failed to remove the files of a killed gateway");
            }
        }
        others
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // The lock ends with the process, so the next user recognizes what stays as abandoned.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn contents(folder: &Path) -> impl Iterator<Item = Digest> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_sees_what_the_living_others_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (User::join(folder.path()).unwrap(), User::join(folder.path()).unwrap());
        let (first, second) = (Digest::of(b"1"), Digest::of(b"2"));
        two.hold(first).unwrap();
        two.hold(second).unwrap();
        two.hold_only(|content| *content == second);
        let others = one.others();
        assert_eq!((others.count, others.held), (1, HashSet::from([second])));
        // As a killed process leaves it.
        let left = two.folder.clone();
        drop(two);
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), b"").unwrap();
        assert_eq!(one.others().count, 0);
        assert!(!left.exists() && one.is_there());
    }
}
