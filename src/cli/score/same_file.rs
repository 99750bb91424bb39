//! Files of one command that must not be the same.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::cli::Failure;

/// A file of the command line: the option that names it, and its path. `-` is a standard stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'n> {
    pub(super) option: &'n str,
    pub(super) path: &'n Path,
}

/// A file, whatever names lead to it.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// Device and inode of a regular file.
    Regular(u64, u64),
    /// The place of a file that is not there yet.
    New(PathBuf),
}

/// Refuses to write a file that is also read, and to write one twice.
pub(super) fn refuse_same(read: &[Named<'_>], written: &[Named<'_>]) -> Result<(), Failure> {
    for (index, target) in written.iter().enumerate() {
        let Some(identity) = identity(target.path, "/dev/stdout") else { continue };
        let is_same =
            |other: &&Named<'_>, stream| self::identity(other.path, stream).as_ref() == Some(&identity);
        if let Some(source) = read.iter().find(|source| is_same(source, "/dev/stdin")) {
            return Err(format!(
                "{} would overwrite {}, which is the same file: name another one; nothing was written",
                target.shown(),
                source.shown()
            )
            .into());
        }
        if let Some(other) = written.iter().take(index).find(|other| is_same(other, "/dev/stdout")) {
            return Err(format!(
                "{} and {} name the same file: name another one; nothing was written",
                other.shown(),
                target.shown()
            )
            .into());
        }
    }
    Ok(())
}

impl Named<'_> {
    fn shown(&self) -> String {
        format!("{} {}", self.option, self.path.display())
    }
}

/// Identifies a regular file, or the place of one. `None` if it is a device, a pipe or a folder, or cannot be known.
fn identity(path: &Path, stream: &str) -> Option<Identity> {
    let path = if path == Path::new("-") { Path::new(stream) } else { path };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Some(Identity::Regular(metadata.dev(), metadata.ino())),
        Ok(_) => None,
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            Some(Identity::New(folder.join(path.file_name()?)))
        }
    }
}
