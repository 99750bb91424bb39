//! From a file in the repository to a version that serves, and back out.
//!
//! source (what lies in the repository) → snapshot (a private copy) → admission (prove it) → policy (decide) →
//! manager (the one thread that loads and drops) → serving map (what requests see).

mod admission;
mod manager;
mod policy;
mod proof;
mod record;
mod refusal;
mod servable;
mod serving_map;
mod snapshot;
mod source;
mod status;

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use admission::admit;
pub use proof::{Proven, prove};
pub use refusal::{Reason, Refusal};
pub use servable::Servable;
pub use serving_map::ServingMap;
pub use snapshot::{Snapshot, SnapshotError, Snapshots};
pub use source::{Candidate, Source};
pub use status::{State, VersionStatus};

use crate::{
    config::{ModelsSettings, RuntimeSettings},
    runtime::Runtime,
    telemetry::Metrics,
};

/// The running lifecycle of all models: dropping it stops the manager.
#[derive(Debug)]
pub struct Lifecycle {
    serving: Arc<ServingMap>,
    status: Arc<ArcSwap<Vec<VersionStatus>>>,
    first_pass: watch::Receiver<bool>,
    /// Closing it tells the manager to stop.
    stop: Option<mpsc::Sender<()>>,
    /// Closed when the manager has stopped.
    stopped: Mutex<mpsc::Receiver<()>>,
    manager: Option<JoinHandle<()>>,
}

impl Lifecycle {
    /// Starts the manager's thread. Models appear as they are admitted; none is there yet on return.
    ///
    /// # Errors
    ///
    /// When the folder for private copies cannot be made.
    pub fn start(
        runtime: Runtime,
        models: &ModelsSettings,
        settings: &RuntimeSettings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SnapshotError> {
        let serving = Arc::new(ServingMap::default());
        let status = Arc::new(ArcSwap::default());
        let (first_pass_done, first_pass) = watch::channel(false);
        let (stop, stop_wanted) = mpsc::channel();
        let (running, stopped) = mpsc::channel::<()>();
        let manager = manager::Manager::new(manager::Parts {
            source: Source::new(models.repository.clone()),
            snapshots: Snapshots::new(models.snapshot_directory.as_deref())?,
            runtime,
            settings: settings.clone(),
            poll_interval: Duration::from_millis(models.poll_interval_ms),
            serving: Arc::clone(&serving),
            status: Arc::clone(&status),
            metrics,
        });
        let run = move || {
            let _until_it_ends = running;
            manager.run(&first_pass_done, &stop_wanted);
        };
        let manager = std::thread::Builder::new()
            .name("lifecycle".to_owned())
            .spawn(run)
            .map_err(|error| SnapshotError::new("the manager's thread cannot be started", &error))?;
        Ok(Self {
            serving,
            status,
            first_pass,
            stop: Some(stop),
            stopped: Mutex::new(stopped),
            manager: Some(manager),
        })
    }

    /// The versions that serve.
    #[must_use]
    pub fn serving(&self) -> &ServingMap {
        &self.serving
    }

    /// Every version that lies in the repository, sorted, with its state.
    #[must_use]
    pub fn status(&self) -> Arc<Vec<VersionStatus>> {
        self.status.load_full()
    }

    /// Whether everything that lay in the repository at the start has been tried, but for what was still being written.
    #[must_use]
    pub fn first_pass_is_done(&self) -> bool {
        *self.first_pass.borrow()
    }

    /// Waits until everything that lay in the repository at the start has been tried, but for what was still being
    /// written.
    pub async fn first_pass(&self) {
        // An error means that the manager is gone, so there is nothing left to wait for.
        let _ = self.first_pass.clone().wait_for(|done| *done).await;
    }
}

/// How long the end waits for a model that is just being loaded.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.stop.take();
        let stopped =
            self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(STOP_TIMEOUT);
        if stopped == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("a model was still being loaded; its private copy is removed at the next start");
        } else if let Some(manager) = self.manager.take()
            && manager.join().is_err()
        {
            tracing::error!("the manager of the models panicked");
        }
    }
}
