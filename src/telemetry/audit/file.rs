//! The file of the audit log, and those that were put aside.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::config::AuditSettings;

/// The file. It is opened again if it was moved or removed, as tools that rotate logs do.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Device and number.
    identity: (u64, u64),
    bytes: u64,
    /// True if the last line may be incomplete.
    is_torn: bool,
}

impl AuditFile {
    pub(super) fn new(path: PathBuf, settings: &AuditSettings) -> Self {
        Self { path, max_bytes: settings.max_bytes, keep: settings.keep, opened: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, or begins it.
    pub(super) fn open(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let metadata = file.metadata()?;
        let (identity, bytes) = ((metadata.dev(), metadata.ino()), metadata.len());
        // A process that was killed may have left a part of a line. An empty line harms no reader.
        self.opened = Some(Opened { file, identity, bytes, is_torn: false });
        Ok(())
    }

    /// Writes a line, in a file of its own if this one is full.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let found = fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let is_there = self.opened.as_ref().is_some_and(|opened| Some(opened.identity) == found);
        if !is_there {
            self.open()?;
        }
        let is_full = self.opened.as_ref().is_some_and(|opened| {
            opened.bytes > 0 && opened.bytes.saturating_add(line.len() as u64) > self.max_bytes
        });
        if is_full {
            self.put_aside()?;
            self.open()?;
        }
        let Some(opened) = self.opened.as_mut() else { return Ok(()) };
        if opened.is_torn {
            opened.file.write_all(b"\n")?;
            opened.bytes += 1;
        }
        // Until it is whole.
        opened.is_torn = true;
        opened.file.write_all(line)?;
        opened.bytes += line.len() as u64;
        opened.is_torn = false;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.opened = None;
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.aside(number), self.aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.aside(1))
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(path: &Path, keep: u32) -> AuditFile {
        AuditFile::new(path.to_path_buf(), &AuditSettings { file: None, max_bytes: 20, keep })
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut file = file(&path, 2);
        for number in 0..5 {
            file.write(format!("line {number} of ten\n").as_bytes()).unwrap();
        }
        assert_eq!(names(folder.path()), ["audit", "audit.1", "audit.2"]);
        for (name, number) in [("audit", 4), ("audit.1", 3), ("audit.2", 2)] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(text, format!("line {number} of ten\n"), "{name}");
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn without_files_to_keep_a_full_one_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut file = file(&path, 0);
        file.write(b"the first line\n").unwrap();
        file.write(b"the second line\n").unwrap();
        assert_eq!(names(folder.path()), ["audit"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "the second line\n");
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("moved"));
        let mut file = file(&path, 2);
        file.write(b"first\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write(b"second\n").unwrap();
        fs::remove_file(&path).unwrap();
        file.write(b"third\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "first\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_until_it_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("log");
        fs::create_dir(&inner).unwrap();
        let mut file = file(&inner.join("audit"), 2);
        file.write(b"first\n").unwrap();
        fs::remove_dir_all(&inner).unwrap();
        file.write(b"lost\n").unwrap_err();
        fs::create_dir(&inner).unwrap();
        file.write(b"second\n").unwrap();
        assert_eq!(fs::read_to_string(inner.join("audit")).unwrap(), "second\n");
    }
}
