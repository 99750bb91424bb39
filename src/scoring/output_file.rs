//! Files that appear under their name only when they are complete.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::{Builder, TempPath};

use super::{Stream, error::ScoringError};

/// Bytes that are collected before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Permissions of a new file, less those that the process's mask takes away.
const MODE: u32 = 0o666;

/// A file that is being written beside its place. It is removed unless it is kept.
#[derive(Debug)]
pub(super) struct OutputFile {
    /// The place, and the file that will be moved there; `None` for what is not a regular file.
    moved: Option<(PathBuf, TempPath)>,
    name: String,
}

impl OutputFile {
    /// Begins a file, and returns it with the writer of its contents.
    pub(super) fn create(stream: &Stream) -> Result<(Self, Box<dyn Write + Send>), ScoringError> {
        let Stream::File(path) = stream else {
            let file = Self { moved: None, name: "standard output".to_owned() };
            return Ok((file, Box::new(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))));
        };
        let name = path.display().to_string();
        let (file, moved) = open(path).map_err(|error| ScoringError::output(&name, error.to_string()))?;
        Ok((Self { moved, name }, Box::new(BufWriter::with_capacity(BUFFER_BYTES, file))))
    }

    /// Returns the file as it was named.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives the complete file its name.
    pub(super) fn keep(self) -> Result<(), ScoringError> {
        let Some((path, temporary)) = self.moved else { return Ok(()) };
        temporary.persist(&path).map_err(|error| ScoringError::output(&self.name, error.error.to_string()))
    }
}

/// Opens a temporary file beside a path, or a device or pipe itself.
fn open(path: &Path) -> io::Result<(File, Option<(PathBuf, TempPath)>)> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok((OpenOptions::new().write(true).open(path)?, None));
    }
    // A link stays a link: the file that it leads to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let prefix = format!(".{}.", name.to_string_lossy());
    let temporary = Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder)?;
    let (file, temporary) = temporary.into_parts();
    Ok((file, Some((path, temporary))))
}

/// The file of rejected rows, which is begun with the first of them.
pub(super) struct RejectedFile {
    path: PathBuf,
    open: Option<(OutputFile, Box<dyn Write + Send>)>,
}

impl RejectedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), ScoringError> {
        if lines.is_empty() {
            return Ok(());
        }
        let (file, writer) = match &mut self.open {
            Some(open) => open,
            none => none.insert(OutputFile::create(&Stream::File(self.path.clone()))?),
        };
        writer.write_all(lines).map_err(|error| ScoringError::output(file.name(), error.to_string()))
    }

    /// Gives the file its name. Without rejected rows, one of an earlier run is removed.
    pub(super) fn keep(self) -> Result<(), ScoringError> {
        let Some((file, mut writer)) = self.open else {
            if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_file()) {
                let name = self.path.display().to_string();
                fs::remove_file(&self.path)
                    .map_err(|error| ScoringError::output(&name, error.to_string()))?;
            }
            return Ok(());
        };
        writer.flush().map_err(|error| ScoringError::output(file.name(), error.to_string()))?;
        file.keep()
    }
}
