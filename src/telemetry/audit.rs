//! The audit log: security events as JSON lines, in a file of their own.
//!
//! A thread writes the lines. Recording an event puts it into a bounded queue and never waits. Lines beyond
//! the queue, and those that cannot be written, are dropped and counted.

mod event;
mod file;
mod throttle;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

pub use self::event::{AuditCaller, AuditEvent, AuditKind, AuditOutcome};
use self::{
    file::AuditFile,
    throttle::{Throttle, Verdict},
};
use super::Metrics;
use crate::{config::AuditSettings, system::date::rfc3339};

/// Most lines in the queue: more than a second's events of the busiest gateway.
const MAX_WAITING: usize = 4096;

/// An audit log that cannot be begun.
#[derive(Debug, thiserror::Error)]
#[error("audit.file: {} cannot be written: {cause}", path.display())]
pub struct AuditError {
    path: PathBuf,
    cause: std::io::Error,
}

/// The audit log of a gateway.
#[derive(Debug)]
pub struct AuditLog {
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settings: AuditSettings,
    /// `None` while the log is off.
    writer: Option<Writer>,
    throttle: Throttle,
}

/// The thread that writes, and the queue to it.
#[derive(Debug)]
struct Writer {
    lines: SyncSender<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl AuditLog {
    /// Opens the log of these settings.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn open(settings: &AuditSettings, metrics: Arc<Metrics>) -> Result<Self, AuditError> {
        let log = Self { metrics, state: Mutex::default() };
        if let Some(path) = &settings.file {
            let failed = |cause| AuditError { path: path.clone(), cause };
            let mut file = AuditFile::new(path.clone(), settings);
            file.open().map_err(failed)?;
            log.lock().writer = Some(log.start(file).map_err(failed)?);
        }
        log.lock().settings = settings.clone();
        Ok(log)
    }

    /// Applies changed settings. A file that cannot be written is tried again at each event.
    pub fn apply(&self, settings: &AuditSettings) {
        let mut state = self.lock();
        if state.settings == *settings {
            return;
        }
        let started = settings.file.as_ref().map(|path| self.start(AuditFile::new(path.clone(), settings)));
        let writer = match started.transpose() {
            Ok(writer) => writer,
            Err(error) => {
                tracing::error!(%error, "failed to start the thread of the audit log; the old one goes on");
                return;
            }
        };
        state.settings = settings.clone();
        let ended = std::mem::replace(&mut state.writer, writer);
        drop(state);
        if let Some(ended) = ended {
            ended.end();
        }
    }

    /// Records an event. Does nothing while the log is off.
    pub fn record(&self, event: &AuditEvent<'_>) {
        let mut state = self.lock();
        let Some(writer) = &state.writer else { return };
        let lines = writer.lines.clone();
        let suppressed = match event.throttle_key() {
            None => 0,
            Some(key) => match state.throttle.judge(key, Instant::now()) {
                Verdict::Write { suppressed } => suppressed,
                Verdict::Suppress => {
                    self.metrics.audit_event_suppressed();
                    return;
                }
            },
        };
        drop(state);
        let mut line = event.line(&rfc3339(SystemTime::now()), suppressed);
        line.push(b'\n');
        if lines.try_send(line).is_err() {
            self.metrics.audit_line_dropped();
        }
    }

    /// Writes what was recorded, and ends the log. Blocks.
    pub fn close(&self) {
        let writer = self.lock().writer.take();
        if let Some(writer) = writer {
            writer.end();
        }
    }

    fn start(&self, file: AuditFile) -> std::io::Result<Writer> {
        let (lines, received) = sync_channel(MAX_WAITING);
        let metrics = Arc::clone(&self.metrics);
        let thread = thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || write(&received, file, &metrics))?;
        Ok(Writer { lines, thread })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Writer {
    fn end(self) {
        drop(self.lines);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the audit log panicked");
        }
    }
}

/// Writes lines until the log is closed.
fn write(lines: &Receiver<Vec<u8>>, mut file: AuditFile, metrics: &Metrics) {
    let mut lost = 0_u64;
    for line in lines {
        match file.write(&line) {
            Ok(()) if lost > 0 => {
                tracing::warn!(lines = lost, "resumed the audit log; these lines were not written");
                lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if lost == 0 {
                    let path = file.path().display();
                    tracing::error!(%error, %path, "failed to write the audit log; it is tried again at each event");
                }
                lost += 1;
                metrics.audit_line_dropped();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings(path: PathBuf) -> AuditSettings {
        AuditSettings { file: Some(path), max_bytes: 4096, keep: 2 }
    }

    fn event() -> AuditEvent<'static> {
        AuditEvent::of(AuditKind::SettingsRefused, AuditOutcome::Refused)
    }

    #[test]
    fn events_are_written_by_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.json");
        let metrics = Arc::new(Metrics::new(true).unwrap());
        let log = AuditLog::open(&settings(path.clone()), metrics).unwrap();
        for _ in 0..3 {
            log.record(&event());
        }
        log.close();
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.contains("\"event\":\"settings_refused\"")), "{text}");
    }

    #[test]
    fn changed_settings_apply_and_a_lost_file_is_no_error_then() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("absent/b"));
        let metrics = Arc::new(Metrics::new(true).unwrap());
        AuditLog::open(&settings(second.clone()), Arc::clone(&metrics)).unwrap_err();
        let log = AuditLog::open(&AuditSettings::default(), Arc::clone(&metrics)).unwrap();
        log.record(&event());
        log.apply(&settings(first.clone()));
        log.record(&event());
        log.apply(&settings(second));
        log.record(&event());
        log.close();
        assert_eq!(fs::read_to_string(first).unwrap().lines().count(), 1);
        let text = metrics.encode(std::iter::empty()).unwrap();
        assert!(text.contains("gateway_audit_lines_dropped_total 1"), "{text}");
    }
}
