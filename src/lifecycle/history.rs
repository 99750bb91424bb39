//! Deployment history of each model: who did what and how it ended. Append-only, one JSON object per line.

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, Metadata, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::{
    model::{ModelName, ModelVersion},
    system::date::rfc3339,
    telemetry::{AuditEvent, AuditKind, AuditLog, AuditOutcome},
};

/// Most entries of a model that are kept in memory and returned.
const KEPT_ENTRIES: usize = 1000;

/// Bytes that are read from the end of a long file at the start.
const READ_BYTES: u64 = 16 << 20;

/// Most entries that are kept while the file cannot be written.
const MAX_UNWRITTEN: usize = 10_000;

/// One operation on a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Time in UTC, as in RFC 3339.
    pub time: String,
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// The operation.
    pub event: Event,
    /// Origin of the operation: `repository`, `start`, `automatic`, or a caller as `caller:SUBJECT`.
    pub by: String,
    /// SHA-256 of the model's file; with data files, that of the list of all digests. `None` (`null` in JSON) if the
    /// files were refused before they could be hashed.
    #[serde(default)]
    pub digest: Option<String>,
    /// Digest of the files that served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Reason of a refusal or a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The reason as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Durations of the parts of a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

impl HistoryEntry {
    /// Creates an entry; the caller fills in the optional fields.
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

impl HistoryEntry {
    fn audit_event(&self) -> AuditEvent<'_> {
        let kind = match self.event {
            Event::Deployed => AuditKind::ModelDeployed,
            Event::Restored => AuditKind::ModelRestored,
            Event::Refused => AuditKind::ModelRefused,
            Event::RolledBack => AuditKind::ModelRolledBack,
            Event::Unloaded => AuditKind::ModelUnloaded,
            Event::Removed => AuditKind::ModelRemoved,
            Event::Kept => AuditKind::ModelKept,
        };
        let is_refused = self.event == Event::Refused;
        AuditEvent {
            reason: self.reason.map(Reason::code),
            by: Some(&self.by),
            model: Some(self.model.as_str()),
            version: Some(self.version.to_string()),
            digest: self.digest.as_deref(),
            ..AuditEvent::of(kind, if is_refused { AuditOutcome::Refused } else { AuditOutcome::Ok })
        }
    }
}

/// Operations in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The version was put into service.
    Deployed,
    /// The version was put into service again at the start.
    Restored,
    /// The version was not put into service.
    Refused,
    /// The version serves again, in place of a later one.
    RolledBack,
    /// The version was taken out of service.
    Unloaded,
    /// The version's file vanished, and it was taken out of service.
    Removed,
    /// The version's file vanished, and it serves on.
    Kept,
}

/// Durations of the parts of a deployment, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Copying and hashing.
    pub copy_ms: u64,
    /// The proof in a child process.
    pub proof_ms: u64,
    /// Loading.
    pub load_ms: u64,
}

/// The entries of all models.
#[derive(Debug, Default)]
pub struct History {
    /// The audit log, which has the entries of this process, too.
    audit: Option<Arc<AuditLog>>,
    file: Mutex<Journal>,
    entries: Mutex<Entries>,
}

/// The entries in memory.
#[derive(Debug, Default)]
struct Entries {
    /// Entries of the file, by model, oldest first.
    written: HashMap<ModelName, VecDeque<HistoryEntry>>,
    /// Entries that could not be written yet.
    unwritten: VecDeque<HistoryEntry>,
    /// Number of entries that were ever added.
    revision: u64,
    /// The revision at the last entry of each model.
    changed: HashMap<ModelName, u64>,
}

/// The file. Other gateways may append to it, too.
#[derive(Debug, Default)]
struct Journal {
    path: Option<PathBuf>,
    opened: Option<Opened>,
    /// True while entries cannot be written, which is logged once.
    is_failing: bool,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// End of what was read.
    read_to: u64,
    is_writable: bool,
    /// True if more was written than was synchronized to the disk.
    is_ahead: bool,
}

impl History {
    /// Creates an empty history, whose entries are recorded in this audit log, too.
    pub fn audited(audit: Arc<AuditLog>) -> Self {
        Self { audit: Some(audit), ..Self::default() }
    }

    /// Continues this file, or creates it. Entries are kept in memory while it cannot be used.
    pub fn use_file(&self, path: Option<PathBuf>) {
        let mut journal = lock(&self.file);
        if journal.path != path {
            (journal.path, journal.opened) = (path, None);
        }
        drop(journal);
        self.refresh();
    }

    /// Reads what other gateways added, and writes what could not be written before. If the file was removed, it is
    /// written again with all known entries.
    pub fn refresh(&self) {
        let mut journal = lock(&self.file);
        let Some(path) = journal.path.clone() else { return };
        let outcome = self.follow(&mut journal, &path);
        match outcome {
            Ok(()) if journal.is_failing => tracing::info!("resumed writing the history of deployments"),
            Err(error) if !journal.is_failing => {
                tracing::error!(%error, "failed to write the history of deployments; it is kept in memory and retried");
                journal.is_failing = true;
                return;
            }
            Err(_) => return,
            Ok(()) => {}
        }
        journal.is_failing = false;
    }

    fn follow(&self, journal: &mut Journal, path: &Path) -> std::io::Result<()> {
        let must_stay = |opened: &Opened| opened.is(path) && (opened.is_writable || !may_append(path));
        let opened = match journal.opened.take().filter(must_stay) {
            Some(opened) => opened,
            None => self.open(path)?,
        };
        let opened = journal.opened.insert(opened);
        if opened.file.metadata()?.len() != opened.read_to {
            let added = opened.read_on()?;
            lock(&self.entries).keep_all(added);
        }
        let unwritten = lock(&self.entries).unwritten.clone();
        for entry in unwritten {
            opened.append(&entry)?;
            lock(&self.entries).unwritten.pop_front();
            let added = opened.read_on()?;
            lock(&self.entries).keep_all(added);
        }
        Ok(())
    }

    /// Opens the file, and queues the known entries that are not in it.
    fn open(&self, path: &Path) -> std::io::Result<Opened> {
        let mut opened = Opened::of(path)?;
        let read = opened.read_on()?;
        let mut entries = lock(&self.entries);
        let known = std::mem::take(&mut entries.written);
        entries.keep_all(read);
        let is_lost = |entry: &HistoryEntry| {
            entries.written.get(&entry.model).is_none_or(|written| !written.contains(entry))
        };
        let mut lost: Vec<HistoryEntry> = known.into_values().flatten().filter(|one| is_lost(one)).collect();
        lost.extend(std::mem::take(&mut entries.unwritten));
        lost.sort_by(|left, right| left.time.cmp(&right.time));
        entries.unwritten = lost.into();
        Ok(opened)
    }

    /// Synchronizes the file to the disk, once for all entries that were added together.
    pub fn keep_written(&self) {
        let mut journal = lock(&self.file);
        let Some(opened) = journal.opened.as_mut().filter(|opened| opened.is_ahead) else { return };
        opened.is_ahead = false;
        if let Err(error) = opened.file.sync_data() {
            tracing::error!(%error, "failed to write the history of deployments");
        }
    }

    /// Adds an entry with the current time. It survives a killed process at once, and a stopped machine from
    /// [`keep_written`](Self::keep_written) on.
    pub fn add(&self, mut entry: HistoryEntry) {
        entry.time = rfc3339(SystemTime::now());
        if let Some(audit) = &self.audit {
            audit.record(&entry.audit_event());
        }
        {
            let mut entries = lock(&self.entries);
            entries.mark(&entry.model);
            entries.unwritten.push_back(entry);
            if entries.unwritten.len() > MAX_UNWRITTEN {
                entries.unwritten.pop_front();
            }
        }
        self.refresh();
    }

    /// Returns the current revision, and the models with entries that were added after an earlier one.
    #[must_use]
    pub fn changed_since(&self, revision: u64) -> (u64, Vec<ModelName>) {
        let entries = lock(&self.entries);
        if entries.revision == revision {
            return (revision, Vec::new());
        }
        let later = entries.changed.iter().filter(|(_, changed)| **changed > revision);
        (entries.revision, later.map(|(model, _)| model.clone()).collect())
    }

    /// Returns the last entries of a model, newest first.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> Vec<HistoryEntry> {
        let entries = lock(&self.entries);
        let unwritten = entries.unwritten.iter().filter(|entry| entry.model == *model);
        let mut of_model: Vec<HistoryEntry> =
            entries.written.get(model).into_iter().flatten().chain(unwritten).cloned().collect();
        // Several gateways write into one file, not always in the order of their clocks.
        of_model.sort_by(|left, right| left.time.cmp(&right.time));
        of_model.reverse();
        of_model.truncate(KEPT_ENTRIES);
        of_model
    }
}

impl Entries {
    fn keep_all(&mut self, entries: Vec<HistoryEntry>) {
        for entry in entries {
            self.keep(entry);
        }
    }

    fn keep(&mut self, entry: HistoryEntry) {
        let entries = self.written.entry(entry.model.clone()).or_default();
        // Two gateways may write what they know into a file that was removed.
        if entries.iter().rev().take_while(|known| known.time >= entry.time).any(|known| *known == entry) {
            return;
        }
        let model = entry.model.clone();
        entries.push_back(entry);
        if entries.len() > KEPT_ENTRIES {
            entries.pop_front();
        }
        self.mark(&model);
    }

    /// Records that a model has another entry.
    fn mark(&mut self, model: &ModelName) {
        self.revision += 1;
        match self.changed.get_mut(model) {
            Some(revision) => *revision = self.revision,
            None => drop(self.changed.insert(model.clone(), self.revision)),
        }
    }
}

impl Opened {
    fn of(path: &Path) -> std::io::Result<Self> {
        let options = || OpenOptions::new().read(true).clone();
        let written = options().append(true).create(true).open(path);
        let is_writable = written.is_ok();
        // A file that cannot be written can still be read.
        let file = written.or_else(|error| options().open(path).map_err(|_| error))?;
        let read_to = file.metadata()?.len().saturating_sub(READ_BYTES);
        Ok(Self { file, read_to, is_writable, is_ahead: false })
    }

    /// Returns true if the path still names this file, and the file was not truncated.
    fn is(&self, path: &Path) -> bool {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        if self.file.metadata().is_ok_and(|metadata| metadata.len() < self.read_to) {
            return false;
        }
        let own = self.file.metadata().map(identity);
        own.is_ok_and(|own| path.metadata().map(identity).is_ok_and(|found| found == own))
    }

    /// Reads the entries that were added since, up to the last whole line.
    fn read_on(&mut self) -> std::io::Result<Vec<HistoryEntry>> {
        let mut entries = Vec::new();
        self.file.seek(SeekFrom::Start(self.read_to))?;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        while lines.by_ref().take(READ_BYTES).read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            self.read_to += line.len() as u64;
            // A line that a killed process did not finish, or that begins before the part that is read, is skipped.
            entries.extend(serde_json::from_slice::<HistoryEntry>(&line));
            line.clear();
        }
        Ok(entries)
    }

    fn append(&mut self, entry: &HistoryEntry) -> std::io::Result<()> {
        if !self.is_writable {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // An unfinished line, left by a killed process or a full disk, is closed so that it does not swallow this one.
        if self.file.metadata()?.len() > 0 {
            let mut last = [0];
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
        }
        // A single write: the line is there whole or not at all, even if others write at the same time.
        self.file.write_all(&line)?;
        self.is_ahead = true;
        Ok(())
    }
}

fn may_append(path: &Path) -> bool {
    OpenOptions::new().append(true).open(path).is_ok()
}

/// Locks a mutex, poisoned or not: its content is consistent at every point where a panic could leave it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u64) -> HistoryEntry {
        let iris = "iris".parse().unwrap();
        HistoryEntry::of(&iris, ModelVersion::new(version), Event::Deployed, "repository".to_owned())
    }

    fn of_file(path: &Path) -> History {
        let history = History::default();
        history.use_file(Some(path.to_path_buf()));
        history
    }

    fn versions(history: &History) -> Vec<u64> {
        let entries = history.of(&"iris".parse().unwrap());
        entries.iter().map(|entry| entry.version.to_string().parse().unwrap()).collect()
    }

    #[test]
    fn goes_on_after_a_restart_and_after_a_line_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let history = of_file(&path);
        history.add(entry(1));
        history.add(entry(2));
        drop(history);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"time\":\"2026").unwrap();
        of_file(&path).add(entry(3));
        let history = of_file(&path);
        assert_eq!(versions(&history), [3, 2, 1]);
        let time = &history.of(&"iris".parse().unwrap())[0].time;
        assert!(time.ends_with('Z') && time.len() == 24, "{time}");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
    }

    #[test]
    fn a_revision_tells_which_models_have_new_entries() {
        let history = History::default();
        assert_eq!(history.changed_since(0), (0, Vec::new()));
        history.add(entry(1));
        let (revision, models) = history.changed_since(0);
        assert_eq!(models, ["iris".parse().unwrap()]);
        assert_eq!(history.changed_since(revision), (revision, Vec::new()));
        let wine = "wine".parse().unwrap();
        history.add(HistoryEntry::of(&wine, ModelVersion::new(1), Event::Deployed, String::new()));
        let (later, models) = history.changed_since(revision);
        assert_eq!((later > revision, models), (true, vec![wine]));
    }

    #[test]
    fn two_gateways_see_each_other_and_restore_a_removed_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/history.jsonl");
        let (one, two) = (of_file(&path), of_file(&path));
        one.add(entry(1));
        assert_eq!(versions(&one), [1], "there is no place to write it yet");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        one.refresh();
        two.add(entry(2));
        one.refresh();
        assert_eq!((versions(&one), versions(&two)), (vec![2, 1], vec![2, 1]));
        std::fs::remove_file(&path).unwrap();
        one.add(entry(3));
        two.refresh();
        assert_eq!((versions(&one), versions(&two)), (vec![3, 2, 1], vec![3, 2, 1]));
        assert_eq!(versions(&of_file(&path)), [3, 2, 1]);
    }
}
