//! The repository that a state directory belongs to. Another repository's models of the same names are never mixed in.
//!
//! ```text
//! state/repository                    the repository whose state lies beside this file
//! state/others/SHA256/repository      another repository
//! state/others/SHA256/deployments/    and its state
//! ```
//!
//! A repository is identified by its configured path, or by the target of that path. A link that is switched to the
//! next release stays the same repository, and so does a folder whose path is written differently.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use crate::{config::StoreUrl, model::Digest};

/// The file that names the repository.
const MARK: &str = "repository";

/// The folder of other repositories' states.
const OTHERS: &str = "others";

/// The paths of a repository: as configured, and with links resolved.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    set: PathBuf,
    resolved: Option<PathBuf>,
}

/// Returns the folder of this repository's state, and true if it starts empty beside another repository's. A state
/// without an owner is taken over.
pub(super) fn folder_of(state: PathBuf, repository: &Path) -> io::Result<(PathBuf, bool)> {
    let owner = Owner::of(repository)?;
    match Owner::read(&state)? {
        Some(known) if !known.is(&owner) => other(&state, &owner),
        _ => {
            owner.write(&state)?;
            Ok((state, false))
        }
    }
}

/// Finds the folder of this repository's state within a state directory that cannot be written. `None` if there is
/// none.
pub(super) fn find(state: &Path, repository: &Path) -> io::Result<Option<PathBuf>> {
    let owner = Owner::of(repository)?;
    match Owner::read(state)? {
        Some(known) if !known.is(&owner) => find_other(&state.join(OTHERS), &owner),
        _ => Ok(state.is_dir().then(|| state.to_path_buf())),
    }
}

fn find_other(others: &Path, owner: &Owner) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(others)? {
        let folder = entry?.path();
        if Owner::read(&folder).ok().flatten().is_some_and(|known| known.is(owner)) {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

fn other(state: &Path, owner: &Owner) -> io::Result<(PathBuf, bool)> {
    let others = state.join(OTHERS);
    DirBuilder::new().recursive(true).mode(0o700).create(&others)?;
    if let Some(folder) = find_other(&others, owner)? {
        owner.write(&folder)?;
        return Ok((folder, false));
    }
    let folder = others.join(Digest::of(owner.set.as_os_str().as_bytes()).to_string());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    owner.write(&folder)?;
    Ok((folder, true))
}

impl Owner {
    fn of(repository: &Path) -> io::Result<Self> {
        // The URL of an object store is the same wherever the process was started.
        if StoreUrl::of_repository(repository).is_some() {
            return Ok(Self { set: repository.to_path_buf(), resolved: None });
        }
        Ok(Self { set: std::path::absolute(repository)?, resolved: repository.canonicalize().ok() })
    }

    /// Reads the owner from a folder's mark. `None` without a mark.
    fn read(folder: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(folder.join(MARK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        // A path may contain a newline, so paths end with a zero byte, which no path contains.
        let mut paths = bytes.split(|byte| *byte == 0).map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let set = paths.next().unwrap_or_default();
        Ok(Some(Self { set, resolved: paths.next().filter(|path| !path.as_os_str().is_empty()) }))
    }

    fn is(&self, other: &Self) -> bool {
        self.set == other.set || (self.resolved.is_some() && self.resolved == other.resolved)
    }

    /// Writes the mark atomically. An existing mark stays if the repository cannot be resolved now.
    fn write(&self, folder: &Path) -> io::Result<()> {
        let mark = folder.join(MARK);
        if self.resolved.is_none() && mark.exists() {
            return Ok(());
        }
        let mut bytes = self.set.clone().into_os_string().into_vec();
        bytes.push(0);
        bytes.extend(self.resolved.clone().unwrap_or_default().into_os_string().into_vec());
        bytes.push(0);
        if fs::read(&mark).is_ok_and(|written| written == bytes) {
            return Ok(());
        }
        let temporary = folder.join(format!("{MARK}.tmp"));
        fs::write(&temporary, bytes)?;
        fs::rename(temporary, mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repository_has_a_state_of_its_own_and_finds_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let path = |name: &str| base.join(name);
        for name in ["state", "one", "two"] {
            fs::create_dir(path(name)).unwrap();
        }
        std::os::unix::fs::symlink("one", path("link")).unwrap();
        let of = |name: &str| folder_of(path("state"), &path(name)).unwrap();
        assert_eq!(of("one"), (path("state"), false), "a state without a mark is taken over");
        let (two, begins) = of("two");
        assert!(begins && two.starts_with(path("state/others")), "{two:?}");
        assert_eq!(of("two"), (two.clone(), false));
        let found = |name: &str| find(&path("state"), &path(name)).unwrap();
        assert_eq!(
            (found("one"), found("two"), found("gone")),
            (Some(path("state")), Some(two.clone()), None)
        );
        assert_eq!(of("one"), (path("state"), false));
        assert_eq!(of("link"), (path("state"), false), "it leads to the same folder");
        fs::remove_file(path("link")).unwrap();
        std::os::unix::fs::symlink("two", path("link")).unwrap();
        assert_eq!(of("link"), (path("state"), false), "it is set to the next release");
        let store = || folder_of(path("state"), Path::new("s3://models/live")).unwrap();
        assert!(store().1 && !store().1, "a store has a state of its own, too");
        let gone = of("gone");
        assert!(gone.1 && gone.0 != two);
        assert_eq!(of("gone"), (gone.0, false));
    }
}
