//! What was done to each model, by whom, and how it ended: append-only, a JSON object a line.

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{Reason, StoreError};
use crate::model::{ModelName, ModelVersion};

/// So many entries of a model are answered.
const KEPT_ENTRIES: usize = 1000;

/// So much of a long file is read at the start: its end.
const READ_BYTES: u64 = 16 << 20;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, as RFC 3339 says it, in UTC.
    pub time: String,
    /// To which model.
    pub model: ModelName,
    /// To which version.
    pub version: ModelVersion,
    /// What.
    pub event: Event,
    /// Who or what wanted it: `repository`, `start`, `automatic`, or a caller as `caller:SUBJECT`.
    pub by: String,
    /// The sha256 of the model's file; with data files, that of the list of all digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The digest of the files that served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Why it was refused or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long each part took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

impl HistoryEntry {
    /// That this was done; the rest is for the caller to say.
    #[must_use]
    pub fn of(model: &ModelName, version: ModelVersion, event: Event, by: String) -> Self {
        Self {
            time: String::new(),
            model: model.clone(),
            version,
            event,
            by,
            digest: None,
            replaces: None,
            reason: None,
            detail: None,
            timings: None,
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It was put into service.
    Deployed,
    /// It was put into service again at the start, as it was before.
    Restored,
    /// It was not put into service.
    Refused,
    /// It serves again, in place of a later one.
    RolledBack,
    /// It was taken out of service.
    Unloaded,
    /// Its file vanished, and it was taken out of service.
    Removed,
    /// Its file vanished, and it serves on.
    Kept,
}

/// How long each part of a deployment took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Copying and hashing.
    pub copy_ms: u64,
    /// The proof in a process of its own.
    pub proof_ms: u64,
    /// Loading.
    pub load_ms: u64,
}

/// The entries of all models.
#[derive(Debug)]
pub struct History {
    file: Mutex<Option<File>>,
    /// Whether more was written than is known to be on the disk.
    is_ahead: AtomicBool,
    entries: Mutex<HashMap<ModelName, VecDeque<HistoryEntry>>>,
}

impl History {
    /// Goes on with the file, or begins it.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn open(path: &PathBuf) -> Result<Self, StoreError> {
        let failed =
            |error: std::io::Error| StoreError::new("the history of deployments cannot be used", &error);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let history =
            Self { file: Mutex::new(None), is_ahead: AtomicBool::default(), entries: Mutex::default() };
        let length = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(READ_BYTES))).map_err(failed)?;
        let mut ends_well = true;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        while lines.by_ref().take(READ_BYTES).read_until(b'\n', &mut line).map_err(failed)? > 0 {
            ends_well = line.ends_with(b"\n");
            // A line that a killed process did not finish, or the rest of one that begins before, tells nothing.
            if let Ok(entry) = serde_json::from_slice(&line) {
                history.keep(entry);
            }
            line.clear();
        }
        if !ends_well {
            file.write_all(b"\n").map_err(failed)?;
        }
        *lock(&history.file) = Some(file);
        Ok(history)
    }

    /// A history that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { file: Mutex::new(None), is_ahead: AtomicBool::default(), entries: Mutex::default() }
    }

    /// Sees to it that what was added is on the disk: once for all that was added together.
    pub fn keep_written(&self) {
        // Held before the flag is read, so that it is of everything that was written by then.
        let mut file = lock(&self.file);
        if self.is_ahead.swap(false, Ordering::Relaxed)
            && let Some(Err(error)) = file.as_mut().map(|file| file.sync_data())
        {
            tracing::error!(%error, "the history of deployments cannot be written");
        }
    }

    /// Adds an entry, with the time that it is. A process that is killed loses nothing of it; a machine that stops may,
    /// until [`keep_written`](Self::keep_written).
    pub fn add(&self, mut entry: HistoryEntry) {
        entry.time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        if let Some(file) = lock(&self.file).as_mut() {
            let mut line = serde_json::to_vec(&entry).unwrap_or_default();
            line.push(b'\n');
            // In one write, so that a line is there whole or not at all.
            if let Err(error) = file.write_all(&line) {
                tracing::error!(%error, "the history of deployments cannot be written");
            }
            self.is_ahead.store(true, Ordering::Relaxed);
        }
        self.keep(entry);
    }

    /// The last entries of a model, the newest first.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> Vec<HistoryEntry> {
        lock(&self.entries)
            .get(model)
            .map(|entries| entries.iter().rev().cloned().collect())
            .unwrap_or_default()
    }

    fn keep(&self, entry: HistoryEntry) {
        let mut entries = lock(&self.entries);
        let entries = entries.entry(entry.model.clone()).or_default();
        entries.push_back(entry);
        if entries.len() > KEPT_ENTRIES {
            entries.pop_front();
        }
    }
}

/// What they hold is whole at every point where a panic could leave it, so a poisoned lock is good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u64) -> HistoryEntry {
        let iris = "iris".parse().unwrap();
        HistoryEntry::of(&iris, ModelVersion::new(version), Event::Deployed, "repository".to_owned())
    }

    #[test]
    fn goes_on_after_a_restart_and_after_a_line_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let iris = "iris".parse().unwrap();
        let history = History::open(&path).unwrap();
        history.add(entry(1));
        history.add(entry(2));
        drop(history);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"time\":\"2026").unwrap();
        let history = History::open(&path).unwrap();
        history.add(entry(3));
        drop(history);
        let versions: Vec<u64> = vec![3, 2, 1];
        let read = History::open(&path).unwrap().of(&iris);
        assert_eq!(
            read.iter().map(|entry| entry.version).collect::<Vec<_>>(),
            versions.into_iter().map(ModelVersion::new).collect::<Vec<_>>()
        );
        assert!(read[0].time.ends_with('Z') && read[0].time.len() == 24, "{}", read[0].time);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
    }
}
