//! The file of the revocations: one JSON document, replaced as a whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{Map, RevokedTokens, Terms, Which, forget_expired, merge};
use crate::system::file_lock::FileLock;

/// A file that is not one of revocations.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: cannot be read as revocations: {cause}; put a whole one back, or remove it and revoke again what it had", path.display()
)]
pub struct RevocationsError {
    path: PathBuf,
    cause: serde_json::Error,
}

/// The file.
#[derive(Debug)]
pub(super) struct RevocationFile {
    path: PathBuf,
    /// The stamp of what was read or written last.
    stamp: Option<Stamp>,
    /// True while it cannot be written, which is logged once.
    is_failing: bool,
}

/// The identity and time of a file, which change whenever it is replaced.
type Stamp = (u64, u64, i64, i64);

/// The document.
#[derive(Default, Serialize, Deserialize)]
struct Document {
    revocations: Vec<Entry>,
}

/// A revocation, with times in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Entry {
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    issued_until: u64,
    expires: u64,
}

impl RevocationFile {
    /// Reads the file. If its folder cannot be used, it is as empty, and each later use tries again.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Map), RevocationsError> {
        let mut file = Self { path, stamp: None, is_failing: false };
        match read(&file.path) {
            Ok((content, stamp)) => {
                file.stamp = Some(stamp);
                Ok((file, content))
            }
            Err(ReadError::Malformed(cause)) => Err(RevocationsError { path: file.path, cause }),
            Err(ReadError::Io(error)) => {
                file.report_unread(&error);
                Ok((file, Map::new()))
            }
        }
    }

    /// Returns what others have written since.
    pub(super) fn read_changes(&mut self) -> Map {
        let stamp = fs::metadata(&self.path).ok().map(|metadata| stamp_of(&metadata));
        if stamp.is_none() || stamp == self.stamp {
            return Map::new();
        }
        match read(&self.path) {
            Ok((content, stamp)) => {
                self.stamp = Some(stamp);
                content
            }
            Err(ReadError::Malformed(error)) => {
                // As long as it is not replaced, it is not read again.
                self.stamp = stamp;
                let path = self.path.display();
                tracing::error!(%error, %path, "failed to read revocations; those known are in effect");
                Map::new()
            }
            Err(ReadError::Io(error)) => {
                self.stamp = stamp;
                self.report_unread(&error);
                Map::new()
            }
        }
    }

    /// Writes these revocations with those that others have written, which are added to them.
    pub(super) fn write(&mut self, all: &mut Map, now: SystemTime) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = FileLock::wait(&self.path.with_extension("lock"))?;
        let theirs = match read(&self.path) {
            Ok((theirs, _)) => theirs,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(ReadError::Io(error)) => return Err(error),
            Err(ReadError::Malformed(error)) => return Err(error.into()),
        };
        for (tokens, terms) in theirs {
            merge(all, tokens, terms);
        }
        forget_expired(all, now);
        self.stamp = Some(replace(&self.path, folder, all)?);
        drop(lock);
        Ok(())
    }

    /// Logs that writing has failed, or succeeds again.
    pub(super) fn report(&mut self, failure: Option<&io::Error>) {
        match failure {
            None if self.is_failing => {
                tracing::info!("resumed writing revocations");
                self.is_failing = false;
            }
            Some(error) if !self.is_failing => {
                let path = self.path.display();
                tracing::error!(
                    %error,
                    %path,
                    "failed to write revocations: they are in effect, and end with this process unless they can be \
                     written later"
                );
                self.is_failing = true;
            }
            _ => {}
        }
    }

    fn report_unread(&self, error: &io::Error) {
        // The first revocation creates it.
        let is_absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        if !is_absent {
            let path = self.path.display();
            tracing::error!(%error, %path, "failed to read revocations: tokens that were revoked may be accepted");
        }
    }
}

enum ReadError {
    Io(io::Error),
    Malformed(serde_json::Error),
}

fn read(path: &Path) -> Result<(Map, Stamp), ReadError> {
    let file = File::open(path).map_err(ReadError::Io)?;
    let stamp = file.metadata().map(|metadata| stamp_of(&metadata)).map_err(ReadError::Io)?;
    let text = io::read_to_string(file).map_err(ReadError::Io)?;
    let document: Document = serde_json::from_str(&text).map_err(ReadError::Malformed)?;
    let entries = document.revocations.into_iter().filter_map(Entry::read);
    Ok((entries.collect(), stamp))
}

/// Replaces the file: readers find the old content or the new one, and a stopped machine keeps the new one.
fn replace(path: &Path, folder: &Path, content: &Map) -> io::Result<Stamp> {
    let mut revocations: Vec<Entry> = content.iter().map(Entry::of).collect();
    revocations.sort_by(|left, right| {
        (left.expires, &left.issuer, &left.jti, &left.subject).cmp(&(
            right.expires,
            &right.issuer,
            &right.jti,
            &right.subject,
        ))
    });
    let temporary = path.with_extension("tmp");
    let mut output =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    output.write_all(&serde_json::to_vec_pretty(&Document { revocations })?)?;
    output.sync_all()?;
    let stamp = stamp_of(&output.metadata()?);
    fs::rename(&temporary, path)?;
    // The rename is durable only once the folder is on the disk too.
    File::open(folder)?.sync_all()?;
    Ok(stamp)
}

fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

impl Entry {
    fn of((RevokedTokens { issuer, which }, terms): (&RevokedTokens, &Terms)) -> Self {
        let (jti, subject) = match which {
            Which::Id(id) => (Some(id.clone()), None),
            Which::Subject(subject) => (None, Some(subject.clone())),
        };
        let Terms { issued_until, expires } = *terms;
        Self { issuer: issuer.clone(), jti, subject, issued_until, expires }
    }

    /// Reads an entry; `None` if a later release has written what this one does not know.
    fn read(self) -> Option<(RevokedTokens, Terms)> {
        let Self { issuer, jti, subject, issued_until, expires } = self;
        let which = jti.map(Which::Id).or(subject.map(Which::Subject))?;
        Some((RevokedTokens { issuer, which }, Terms { issued_until, expires }))
    }
}
