//! The path of a file from the repository into service, and back out.
//!
//! * source scans the repository and opens its files
//! * store keeps a private copy
//! * admission proves the copy
//! * policy decides the next action
//! * manager loads and drops versions, on one thread
//! * serving map shows requests the versions that serve

mod admission;
mod confined_file;
mod failure_monitor;
mod fingerprint;
mod history;
mod loaded_copy;
mod managed_model;
mod manager;
mod model_config;
mod notice;
mod operation;
mod output_size;
mod policy;
mod proof;
mod refusal;
mod replay;
mod schedule;
mod servable;
mod serving_map;
mod source;
mod statistics;
mod status;
mod store;
mod version_harness;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch as async_watch};

pub use admission::{
    Costs, Proof, Prover,
    child::{contract_of, run as run_admission},
    run_each as run_admissions,
};
pub use failure_monitor::{FailureMonitor, Suspect, Verdict};
pub use history::{Event, HistoryEntry, Timings};
pub use loaded_copy::LoadedCopy;
pub use model_config::{
    ModelConfig, Pin, SchedulerConfig, TRITON_CONFIG_FILE, VersionedFile, Versions, config_in, config_of,
    model_config_schema, model_toml_of,
};
pub use notice::Notice;
pub use operation::{OperationError, RolledBack};
pub use output_size::OutputSize;
pub use proof::{FoundOutputs, example_inputs, find_outputs, short_example_inputs};
pub use refusal::{Reason, Refusal};
pub use schedule::decide as decide_schedule;
pub use servable::{PrepareRows, ResponseParts, RowsWriter, Servable, Stamp};
pub use serving_map::{ServingMap, ServingModel};
pub use source::{
    Candidate, CandidateFiles, Config, Defect, FileName, FolderSource, ModelSource, RepositoryScan,
    ScannedModel, download_model, source_for_command, source_of,
};
pub use statistics::{BatchCounts, Counts, Phases, Statistics, Total};
pub use status::{State, VersionStatus};
pub use store::{
    CopiedFile, CopiedFiles, Deployment, Followed, Manifest, ModelDeployments, Snapshot, Store, StoreError,
};

use crate::{
    config::{AdmissionSettings, ModelsSettings, RollbackSettings, RuntimeSettings, Settings},
    model::ModelName,
    runtime::Runtime,
    telemetry::{AuditLog, Metrics},
};
use history::History;
use manager::{Manager, Message, Parts};
use operation::Operation;
use store::digest_of;

/// Settings that the lifecycle follows.
#[derive(Clone, Debug)]
pub struct LifecycleSettings {
    /// Repository and state directory.
    pub models: ModelsSettings,
    /// Limits of a proof.
    pub admission: AdmissionSettings,
    /// Conditions of an automatic rollback.
    pub rollback: RollbackSettings,
    /// Sessions, threads and memory.
    pub runtime: RuntimeSettings,
}

impl From<&Settings> for LifecycleSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            models: settings.models.clone(),
            admission: settings.admission.clone(),
            rollback: settings.rollback.clone(),
            runtime: settings.runtime.clone(),
        }
    }
}

/// The running lifecycle of all models. Dropping it stops the manager.
#[derive(Debug)]
pub struct Lifecycle {
    serving: Arc<ServingMap>,
    status: Arc<ArcSwap<Vec<VersionStatus>>>,
    notices: Arc<ArcSwap<Vec<Notice>>>,
    history: Arc<History>,
    lacks_repository: Arc<AtomicBool>,
    first_pass: async_watch::Receiver<bool>,
    messages: mpsc::Sender<Message>,
    /// Closed when the manager has stopped.
    stopped: Mutex<mpsc::Receiver<()>>,
    manager: Option<JoinHandle<()>>,
}

impl Lifecycle {
    /// Starts the manager's thread. Models appear as they are admitted; none serves yet on return.
    ///
    /// `program` is this gateway's binary. It is started again to prove candidates.
    ///
    /// # Errors
    ///
    /// If the state directory cannot hold private copies.
    pub fn start(
        runtime: Runtime,
        program: PathBuf,
        settings: LifecycleSettings,
        (metrics, audit): (Arc<Metrics>, Arc<AuditLog>),
        prepare_rows: PrepareRows,
    ) -> Result<Self, StoreError> {
        let store = Store::open(&settings.models.state_directory, settings.models.folder())?;
        if store.begins_beside_another() {
            tracing::warn!(
                repository = %settings.models.repository.display(),
                "models.state_directory holds the state of another repository, which is kept and not used: this \
                 repository starts with a folder of its own and no deployments to restore"
            );
        }
        let history = History::audited(audit);
        history.use_file(store.history_file());
        let (serving, status) = (Arc::new(ServingMap::default()), Arc::new(ArcSwap::default()));
        let notices = Arc::new(ArcSwap::default());
        let history = Arc::new(history);
        let lacks_repository = Arc::default();
        let (first_pass_done, first_pass) = async_watch::channel(false);
        let (messages, received) = mpsc::channel();
        let (running, stopped) = mpsc::channel::<()>();
        let source = source_of(&settings.models, &metrics)
            .map_err(|error| StoreError::new("the mirror of models.repository cannot be made", &error))?;
        let changes = messages.clone();
        // The manager is gone only while the gateway shuts down.
        source.watch(Box::new(move |name| drop(changes.send(Message::Changed(name)))));
        let library = runtime.library().to_path_buf();
        let parts = Parts {
            source,
            store: Arc::new(store),
            history: Arc::clone(&history),
            runtime,
            prover: Prover {
                program,
                library,
                settings: settings.admission.clone(),
                memory_limit_bytes: settings.runtime.memory_limit_bytes,
            },
            settings,
            serving: Arc::clone(&serving),
            status: Arc::clone(&status),
            notices: Arc::clone(&notices),
            lacks_repository: Arc::clone(&lacks_repository),
            metrics,
            prepare_rows,
            messages: messages.clone(),
        };
        let run = move || {
            let _until_it_ends = running;
            Manager::new(parts).run(&first_pass_done, &received);
        };
        let manager = std::thread::Builder::new()
            .name("lifecycle".to_owned())
            .stack_size(crate::runtime::STACK_BYTES)
            .spawn(run)
            .map_err(|error| StoreError::new("the model manager's thread cannot be started", &error))?;
        Ok(Self {
            serving,
            status,
            notices,
            history,
            lacks_repository,
            first_pass,
            messages,
            stopped: Mutex::new(stopped),
            manager: Some(manager),
        })
    }

    /// Returns the versions that serve.
    #[must_use]
    pub fn serving(&self) -> &ServingMap {
        &self.serving
    }

    /// Returns every version in the repository, sorted, with its state.
    #[must_use]
    pub fn status(&self) -> Arc<Vec<VersionStatus>> {
        self.status.load_full()
    }

    /// Returns the files in the repository, and the settings about it, that have no effect.
    #[must_use]
    pub fn notices(&self) -> Arc<Vec<Notice>> {
        self.notices.load_full()
    }

    /// Returns the deployment history of a model, newest first.
    #[must_use]
    pub fn history(&self, model: &ModelName) -> Vec<HistoryEntry> {
        self.history.of(model)
    }

    /// Returns the current revision of the history, and the models with entries added after an earlier revision.
    #[must_use]
    pub fn history_since(&self, revision: u64) -> (u64, Vec<ModelName>) {
        self.history.changed_since(revision)
    }

    /// Returns true while the repository is unreadable or lost all its models, if the settings demand its presence.
    #[must_use]
    pub fn lacks_repository(&self) -> bool {
        self.lacks_repository.load(Ordering::Relaxed)
    }

    /// Returns true if every file present at the start has been tried, except those still being written.
    #[must_use]
    pub fn first_pass_is_done(&self) -> bool {
        *self.first_pass.borrow()
    }

    /// Waits until every file present at the start has been tried, except those still being written.
    pub async fn first_pass(&self) {
        // An error means that the manager is gone: there is nothing left to wait for.
        let _ = self.first_pass.clone().wait_for(|done| *done).await;
    }

    /// Replaces the settings.
    pub fn change_settings(&self, settings: LifecycleSettings) {
        self.send(Message::Settings(Box::new(settings)));
    }

    /// Tries a model's files in the repository, even if they were refused, rolled back or unloaded before. Returns once
    /// that has ended. `by` is recorded in the history.
    ///
    /// # Errors
    ///
    /// If there is no such model, or its newest version may not serve.
    pub async fn load(
        &self,
        model: &ModelName,
        allow_breaking_changes: bool,
        by: &str,
    ) -> Result<(), OperationError> {
        self.operate(model, by, |reply| Operation::Load { allow_breaking_changes, reply }).await
    }

    /// Takes a model out of service until a load is requested.
    ///
    /// # Errors
    ///
    /// If there is no such model.
    pub async fn unload(&self, model: &ModelName, by: &str) -> Result<(), OperationError> {
        self.operate(model, by, |reply| Operation::Unload { reply }).await
    }

    /// Rolls back to the previous deployment.
    ///
    /// # Errors
    ///
    /// If there is no such model, or no previous deployment.
    pub async fn roll_back(&self, model: &ModelName, by: &str) -> Result<RolledBack, OperationError> {
        self.operate(model, by, |reply| Operation::Rollback { reply }).await
    }

    async fn operate<T>(
        &self,
        model: &ModelName,
        by: &str,
        operation: impl FnOnce(oneshot::Sender<Result<T, OperationError>>) -> Operation,
    ) -> Result<T, OperationError> {
        let (reply, response) = oneshot::channel();
        self.send(Message::Operate(model.clone(), operation(reply), by.to_owned()));
        response.await.unwrap_or(Err(OperationError::Stopping))
    }

    fn send(&self, message: Message) {
        // The manager is gone only while the gateway shuts down.
        let _ = self.messages.send(message);
    }
}

/// Longest wait at shutdown for a model that is being loaded.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.send(Message::Stop);
        let stopped =
            self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(STOP_TIMEOUT);
        if stopped == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(
                "stopped while a model was loading; its private copy is removed at the next start"
            );
        } else if let Some(manager) = self.manager.take()
            && manager.join().is_err()
        {
            tracing::error!("the model manager panicked");
        }
    }
}
