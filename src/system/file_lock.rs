//! Locks on files. The system releases them when a process ends, even if it is killed.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Longest wait for another process's write, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two attempts to get a lock.
const PAUSE: Duration = Duration::from_millis(5);

/// A locked file, if its file system has locks.
#[derive(Debug)]
pub struct FileLock {
    /// The file.
    pub file: File,
    /// False if the file system has no locks.
    pub is_held: bool,
}

impl FileLock {
    /// Locks a file, shared.
    ///
    /// # Errors
    ///
    /// If another process holds it exclusively, or the file cannot be opened.
    pub fn share(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { file, is_held: true }),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::other("another gateway holds its lock exclusively, as earlier releases do"))
            }
            Err(TryLockError::Error(_)) => Ok(Self { file, is_held: false }),
        }
    }

    /// Locks a file exclusively.
    ///
    /// # Errors
    ///
    /// If another process holds it, or the file cannot be opened.
    pub fn alone(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, is_held: true }),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::WouldBlock, "another gateway uses it"))
            }
            Err(TryLockError::Error(_)) => Ok(Self { file, is_held: false }),
        }
    }

    /// Locks a file exclusively, and waits for other processes, which hold it only for a moment.
    ///
    /// # Errors
    ///
    /// If they hold it for longer, or the file cannot be opened.
    pub fn wait(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file, is_held: true }),
                Err(TryLockError::Error(_)) => return Ok(Self { file, is_held: false }),
                Err(TryLockError::WouldBlock) if start.elapsed() >= PATIENCE => {
                    let kind = io::ErrorKind::TimedOut;
                    return Err(io::Error::new(kind, "another gateway did not release its lock"));
                }
                Err(TryLockError::WouldBlock) => pause(),
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "no event tells that a lock is free, and waiting for it has no end"
)]
fn pause() {
    thread::sleep(PAUSE);
}

/// Returns true if a living process holds the lock of a file, or if that cannot be determined.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => file.try_lock().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Opens a file for writing too: network file systems require that for a lock.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_shared_or_held_alone_and_go_with_their_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path));
        let (one, two) = (FileLock::share(&path).unwrap(), FileLock::share(&path).unwrap());
        assert!(one.is_held && two.is_held && is_held(&path));
        assert!(FileLock::alone(&path).unwrap_err().to_string().contains("another gateway uses it"));
        drop((one, two));
        let alone = FileLock::alone(&path).unwrap();
        assert!(FileLock::share(&path).unwrap_err().to_string().contains("earlier releases"));
        drop(alone);
        assert!(FileLock::wait(&path).unwrap().is_held);
    }
}
