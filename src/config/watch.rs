//! The files that settings were read from, and detection of changes to them.
//!
//! Contents are compared, not times: mounted secrets change by replacing a link somewhere in their path.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::model::Digest;

/// Largest file that is compared; a larger one holds no settings.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file that settings were read from, or would be if it existed, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    path: PathBuf,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Bytes(Digest),
    /// The file does not exist, cannot be read, or is too large for settings.
    Nothing,
    /// A pipe, for example: it can be read only once, by the reader of the settings.
    ReadOnce,
}

impl SourceFile {
    /// Reads the current content of the file.
    #[must_use]
    pub fn look(path: &Path) -> Self {
        let content = match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => Content::ReadOnce,
            Ok(metadata) if metadata.len() <= MAX_BYTES => {
                fs::read(path).map_or(Content::Nothing, |bytes| Content::Bytes(Digest::of(&bytes)))
            }
            _ => Content::Nothing,
        };
        Self { path: path.to_path_buf(), content }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if the file cannot be read a second time.
    #[must_use]
    pub fn is_read_once(&self) -> bool {
        self.content == Content::ReadOnce
    }
}

/// A detector of files that have changed and are no longer being written.
#[derive(Debug)]
pub struct Watch {
    read: Vec<SourceFile>,
    last_look: Vec<SourceFile>,
}

impl Watch {
    /// Watches these files, from their content when the settings were read.
    #[must_use]
    pub fn new(read: Vec<SourceFile>) -> Self {
        Self { last_look: read.clone(), read }
    }

    /// Returns the files as they were read.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.read
    }

    /// Returns true if the files should be read again: they have changed, but not since the last check.
    #[must_use]
    pub fn is_settled_change(&mut self, look: Vec<SourceFile>) -> bool {
        let settled = look == self.last_look && look != self.read;
        self.last_look = look;
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(file: &Path) -> Vec<SourceFile> {
        vec![SourceFile::look(file)]
    }

    #[test]
    fn a_change_counts_once_it_is_the_same_in_two_looks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let mut watch = Watch::new(look(&file));
        assert!(!watch.is_settled_change(look(&file)), "a file that is not there has not changed");
        fs::write(&file, "half").unwrap();
        assert!(!watch.is_settled_change(look(&file)));
        fs::write(&file, "whole").unwrap();
        assert!(!watch.is_settled_change(look(&file)), "it is still being written");
        assert!(watch.is_settled_change(look(&file)));
        fs::remove_file(&file).unwrap();
        assert!(!watch.is_settled_change(look(&file)) && !watch.is_settled_change(look(&file)), "as it was");
    }

    #[test]
    fn a_link_on_the_way_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["one", "two"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("secret"), version).unwrap();
        }
        std::os::unix::fs::symlink("one", path("current")).unwrap();
        let file = path("current").join("secret");
        let before = look(&file);
        std::os::unix::fs::symlink("two", path("next")).unwrap();
        fs::rename(path("next"), path("current")).unwrap();
        assert_ne!(look(&file), before);
    }

    #[test]
    fn what_can_be_read_once_is_not_read_by_a_look() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(SourceFile::look(&pipe).is_read_once(), "and this did not wait for someone to write");
    }
}
