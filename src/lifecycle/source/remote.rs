//! A repository in an object store.
//!
//! A thread mirrors the store into a folder ([`mirror`]), and a [`FolderSource`] scans that folder. So candidates of a
//! store are copied, proven and served as those of a folder. While the store cannot be read, the mirror stays as it is.

mod bucket;
mod failure;
mod listing;
mod mirror;
mod one_model;
mod poll;
mod providers;
mod transport;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

use super::{ChangeListener, FileName, FilesHandle, FolderSource, ModelSource, OpenedFile, RepositoryScan};
use crate::{
    config::{ModelsSettings, StoreSettings, StoreUrl},
    lifecycle::{
        confined_file::OpenError,
        fingerprint::Fingerprint,
        notice::{Grace, Notice},
    },
    system::priority,
    telemetry::Metrics,
};
use failure::Failure;
use mirror::Mirror;
pub use one_model::download_model;
use poll::{Poll, Poller};

/// Polls of a command before it gives up on objects that change all the time.
const COMMAND_POLLS: usize = 3;

/// Outcomes of polls that found the store readable.
const UNCHANGED: &str = "unchanged";
const CHANGED: &str = "changed";

/// A repository in an object store.
#[derive(Debug)]
pub struct RemoteSource {
    url: StoreUrl,
    settings: StoreSettings,
    metrics: Option<Arc<Metrics>>,
    folder: FolderSource,
    mirror: Arc<Mirror>,
    gate: Arc<RwLock<()>>,
    known: Arc<Known>,
    /// True until a scan follows the first poll, if there is no mirror of last time.
    is_starting: AtomicBool,
    thread: Mutex<Option<PollThread>>,
}

/// The findings of the last poll.
#[derive(Debug, Default)]
struct Known(Mutex<Findings>);

#[derive(Debug, Default)]
struct Findings {
    /// True once the first poll has ended.
    has_polled: bool,
    /// The reason why the store cannot be read; the first of its kind, so that messages stay the same.
    failure: Option<Failure>,
    refused: BTreeMap<String, &'static str>,
}

/// The thread that polls. It ends when this is dropped.
#[derive(Debug)]
struct PollThread {
    stop: watch::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl RemoteSource {
    /// Creates the source of a store, with its mirror in the state directory. Nothing is downloaded before
    /// [`ModelSource::watch`].
    pub(super) fn new(
        url: StoreUrl,
        settings: &ModelsSettings,
        metrics: Option<Arc<Metrics>>,
    ) -> io::Result<Self> {
        let identity = format!("{url} {}", settings.store.endpoint.as_deref().unwrap_or_default());
        let mirror = Mirror::open(&settings.state_directory, &identity).or_else(|error| {
            tracing::warn!(
                directory = %settings.state_directory.display(), %error,
                "failed to open the mirror in models.state_directory: downloads are lost at the end of the process"
            );
            Mirror::temporary()
        })?;
        Ok(Self::with(url, settings.store.clone(), mirror, metrics))
    }

    /// Mirrors a store into a temporary folder, for a command.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn downloaded(url: StoreUrl, settings: &ModelsSettings) -> io::Result<Self> {
        let source = Self::with(url, settings.store.clone(), Mirror::temporary()?, None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut poller = source.poller();
        let mut outcome = Ok(());
        for _ in 0..COMMAND_POLLS {
            let poll = runtime.block_on(poller.poll());
            outcome.clone_from(&poll.outcome);
            source.known.record(poll);
            if outcome != Err(Failure::Changing) {
                break;
            }
        }
        outcome.map(|()| source).map_err(io::Error::other)
    }

    fn with(url: StoreUrl, settings: StoreSettings, mirror: Mirror, metrics: Option<Arc<Metrics>>) -> Self {
        Self {
            url,
            settings,
            metrics,
            folder: FolderSource::new(mirror.files()),
            is_starting: AtomicBool::new(!mirror.is_filled()),
            mirror: Arc::new(mirror),
            gate: Arc::default(),
            known: Arc::default(),
            thread: Mutex::default(),
        }
    }

    fn poller(&self) -> Poller {
        Poller {
            url: self.url.clone(),
            settings: self.settings.clone(),
            mirror: Arc::clone(&self.mirror),
            gate: Arc::clone(&self.gate),
            bucket: None,
        }
    }

    fn notice_of_name(&self, name: &str, reason: &str) -> Notice {
        Notice {
            model: None,
            version: String::new(),
            subject: format!("{}/{name}", self.url),
            text: format!("is not mirrored: its name {reason}"),
            grace: Grace::None,
        }
    }
}

impl Known {
    /// Records the result of a poll, and logs that a store can be read again.
    fn record(&self, poll: Poll) {
        let mut findings = self.findings();
        findings.has_polled = true;
        if let Some(refused) = poll.refused {
            findings.refused = refused;
        }
        match poll.outcome {
            Err(failure) if !failure.is_passing() => {
                tracing::debug!(reason = failure.label(), error = %failure, "failed to read models.repository");
                let is_known =
                    findings.failure.as_ref().is_some_and(|known| known.label() == failure.label());
                if !is_known {
                    findings.failure = Some(failure);
                }
            }
            Ok(()) | Err(_) => {
                if findings.failure.take().is_some() {
                    tracing::info!("read models.repository again");
                }
            }
        }
    }

    /// Locks the findings, poisoned or not: they are consistent at every point where a panic could leave them.
    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PollThread {
    fn start(
        mut poller: Poller,
        known: Arc<Known>,
        metrics: Option<Arc<Metrics>>,
        changed: ChangeListener,
    ) -> io::Result<Self> {
        let (stop, mut stopped) = watch::channel(());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let interval = Duration::from_millis(poller.settings.poll_interval_ms);
        let run = move || {
            let _guard = PanicGuard;
            // Downloads must not slow down requests.
            priority::set_niceness(priority::Niceness::Background);
            let work = async {
                loop {
                    let poll = poller.poll().await;
                    report(&poll, metrics.as_deref());
                    let names = poll.changed.clone();
                    let is_news = known.is_news(&poll);
                    known.record(poll);
                    if is_news && names.is_empty() {
                        changed(Some(String::new()));
                    }
                    for name in names {
                        changed(Some(name));
                    }
                    // Stores tell nobody of changes, and listings cost money.
                    tokio::time::sleep(interval).await;
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = stopped.changed() => {}
                }
            });
        };
        let thread = thread::Builder::new().name("mirror".to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Known {
    /// Returns true if a poll changes what a scan says: the first one, and one that fails or succeeds after others.
    fn is_news(&self, poll: &Poll) -> bool {
        let findings = self.findings();
        let label = |failure: &Failure| (!failure.is_passing()).then(|| failure.label());
        let after = poll.outcome.as_ref().err().and_then(label);
        !findings.has_polled || findings.failure.as_ref().map(Failure::label) != after
    }
}

/// Logs a panic of the thread when it happens: the mirror stands still from then on.
struct PanicGuard;

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(
                "the thread that mirrors models.repository panicked: restart the gateway to follow the store"
            );
        }
    }
}

/// Counts a poll.
fn report(poll: &Poll, metrics: Option<&Metrics>) {
    let Some(metrics) = metrics else { return };
    let outcome = match &poll.outcome {
        Ok(()) if poll.changed.is_empty() => UNCHANGED,
        Ok(()) => CHANGED,
        Err(failure) => failure.label(),
    };
    metrics.repository_polled(outcome, poll.outcome.is_ok(), poll.bytes);
}

impl Drop for PollThread {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            // A panic was logged when it happened.
            let _ = thread.join();
        }
    }
}

impl ModelSource for RemoteSource {
    fn location(&self) -> String {
        self.url.to_string()
    }

    fn scan(&self) -> io::Result<RepositoryScan> {
        let _unchanged = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let (has_polled, failure, refused) = {
            let findings = self.known.findings();
            (findings.has_polled, findings.failure.clone(), findings.refused.clone())
        };
        if has_polled {
            self.is_starting.store(false, Ordering::Relaxed);
        }
        if !self.mirror.is_filled() {
            let error = failure.map_or_else(
                || "its first download is not complete".to_owned(),
                |failure| failure.to_string(),
            );
            return Err(io::Error::other(error));
        }
        let mut found = self.folder.scan()?;
        found.notices.extend(refused.iter().map(|(name, reason)| self.notice_of_name(name, reason)));
        // The place of the mirror is of no use to its reader.
        found.advice = found.advice.map(|advice| advice.replace(&self.folder.location(), &self.location()));
        found.away = failure.map(|failure| failure.to_string());
        Ok(found)
    }

    fn is_starting(&self) -> bool {
        self.is_starting.load(Ordering::Relaxed)
    }

    fn doubt(&self, name: Option<&str>) {
        self.folder.doubt(name);
    }

    fn watch(&self, changed: ChangeListener) {
        let started =
            PollThread::start(self.poller(), Arc::clone(&self.known), self.metrics.clone(), changed);
        match started {
            Ok(started) => *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(started),
            Err(error) => {
                tracing::error!(%error, "failed to start the thread that mirrors models.repository");
            }
        }
    }

    fn reports_every_change(&self) -> bool {
        // Another gateway's changes to the mirror are found by scans.
        self.mirror.may_write().unwrap_or(false)
    }

    fn open(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        self.folder.open(files, name)
    }

    fn open_signature(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        self.folder.open_signature(files, name)
    }

    fn size(&self, files: &FilesHandle, name: FileName<'_>) -> Option<u64> {
        self.folder.size(files, name)
    }

    fn fingerprint(&self, files: &FilesHandle, data: &[String]) -> Fingerprint {
        self.folder.fingerprint(files, data)
    }
}
