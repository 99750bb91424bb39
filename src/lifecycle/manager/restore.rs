//! Restoration at the start: what served before serves again, whatever is in the repository by now.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use super::Manager;
use crate::{
    lifecycle::{
        CandidateFiles, Deployment, FailureMonitor, ModelDeployments, Prover, Reason, Refusal, ScannedModel,
        Servable, Snapshot,
        history::{Event, HistoryEntry},
        managed_model::{ManagedModel, Restoration},
        version_harness::VersionEvent,
    },
    model::ModelName,
    runtime::{Runtime, STACK_BYTES},
};

/// Number of small models that are loaded together and then published.
const CHUNK: usize = 32;

/// Upper limit of the total size of a small model's files.
const SMALL_BYTES: u64 = 16 << 20;

/// Upper limit of the memory of a small model's proof, ONNX Runtime's own included.
const SMALL_PEAK_BYTES: u64 = 128 << 20;

impl Manager {
    /// Restores what served when the process ended, even if it was killed. The repository is scanned afterwards;
    /// unchanged files in it need no other proof.
    pub(super) fn restore(&mut self) {
        let remembered = match self.parts.store.deployments() {
            Ok(remembered) => remembered,
            Err(error) => {
                tracing::error!(%error, "failed to read what served before; starting from the repository");
                self.keeps_all_copies = true;
                return;
            }
        };
        // The configuration of the models defines default versions and labels.
        let found = self.parts.source.scan().map(|found| found.models).unwrap_or_default();
        let (mut names, at) = (Vec::new(), self.moment());
        for (name, deployments) in remembered {
            let deployments = match deployments {
                Ok(deployments) => deployments,
                Err(error) => {
                    tracing::error!(
                        model.name = %name, %error,
                        "failed to read what served before; starting from the repository"
                    );
                    // The copies stay, so that an operator can repair the file that names them.
                    self.keeps_all_copies = true;
                    continue;
                }
            };
            if let Some(Ok(config)) = found.get(&name).map(|model| &model.config) {
                self.models.entry(name.clone()).or_default().configure(Arc::clone(config), at);
            }
            self.reopen_model(&name, deployments);
            names.push(name);
        }
        let (small, large): (Vec<_>, Vec<_>) = names.iter().partition(|name| self.is_small(name));
        for names in small.chunks(CHUNK) {
            self.restore_together(names);
        }
        // One after another: each finds the memory that the one before has left.
        for name in large {
            self.restore_versions(name);
            self.publish_status(std::slice::from_ref(name), None);
        }
        Prover::rest();
        self.recognize(&found);
        self.publish_status(&names, None);
        self.parts.history.keep_written();
    }

    /// Returns true if several models like this one can be loaded in parallel without a check of memory.
    fn is_small(&self, name: &ModelName) -> bool {
        let mut deployments = self.models.get(name).into_iter().flat_map(ManagedModel::unrestored);
        deployments.all(|(deployment, _)| deployment.proof.costs.peak_bytes <= SMALL_PEAK_BYTES)
    }

    /// Restores several models on as many threads as there are CPUs.
    fn restore_together(&mut self, names: &[&ModelName]) {
        let mut tasks = Vec::new();
        for name in names {
            let due = self.models.get_mut(*name).map(|model| model.begin_restoration(Instant::now()));
            tasks.extend(due.unwrap_or_default().into_iter().map(|task| (*name, task)));
        }
        let loaded = side_by_side(&tasks, |(name, (deployment, snapshot))| {
            self.restore_version(name, deployment, snapshot)
        });
        for ((name, (deployment, snapshot)), loaded) in tasks.into_iter().zip(loaded) {
            let other = || Err(Refusal::new(Reason::LoadFailed, "the gateway could not prove it"));
            self.restore_or_keep(name, deployment, snapshot, loaded.unwrap_or_else(other));
        }
        for name in names {
            if self.models.get(*name).is_some_and(ManagedModel::was_restored) {
                self.publish_serving_map(name);
            } else {
                // A model that was unloaded by request has nothing to restore.
                self.restore_versions(name);
            }
            self.publish_status(std::slice::from_ref(*name), None);
        }
    }

    /// Recognizes repository files that equal the restored copies, so that they need no other proof. Large files are
    /// left to the workers, which delay no start.
    fn recognize(&mut self, found: &BTreeMap<ModelName, ScannedModel>) {
        let mut tasks = Vec::new();
        for (name, found) in found {
            let Some(model) = self.models.get(name).filter(|model| !model.has_unreadable_config()) else {
                continue;
            };
            for (version, candidate) in &found.candidates {
                let servable = model.loaded().get(version).filter(|servable| {
                    let (model_bytes, data_bytes) = servable.snapshot.sizes();
                    model_bytes.saturating_add(data_bytes) <= SMALL_BYTES
                        && servable.snapshot.contract() == model.config().contract.as_ref()
                        // A signature lies beside the file and may be gone.
                        && model.config().pin.minisign_public_key.is_none()
                });
                tasks.extend(servable.map(|servable| (candidate, Arc::clone(&servable.snapshot))));
            }
        }
        let source = self.parts.source.as_ref();
        let is_same = |candidate, snapshot: &Snapshot| snapshot.is_of(CandidateFiles::new(source, candidate));
        let same = side_by_side(&tasks, |(candidate, snapshot)| is_same(candidate, snapshot));
        for ((candidate, _), _) in tasks.iter().zip(same).filter(|(_, is_same)| *is_same == Some(true)) {
            let event = VersionEvent::Recognized((*candidate).clone());
            self.transition(&candidate.model, candidate.version, event);
        }
    }

    fn reopen_model(&mut self, name: &ModelName, deployments: ModelDeployments) {
        let store = Arc::clone(&self.parts.store);
        let reopened = |deployment: Deployment| match store.reopen(deployment.content) {
            // An older gateway recorded the digest of the model's file alone.
            Ok(snapshot) => Some((Deployment { digest: snapshot.digest(), ..deployment }, snapshot)),
            Err(error) => {
                tracing::error!(model.name = %name, %error, "failed to reopen the copy of a version that served \
                    before");
                None
            }
        };
        self.models.entry(name.clone()).or_default().reopen(deployments, reopened);
    }

    /// Restores what served when the process ended, as far as possible now. The rest is retried until another version
    /// serves.
    pub(super) fn restore_versions(&mut self, name: &ModelName) {
        let Some(model) = self.models.get_mut(name) else { return };
        let due = match model.next_restoration(Instant::now()) {
            Restoration::NotDue => return,
            Restoration::GivenUp => return self.remember(name),
            Restoration::Due(due) => due,
        };
        for (deployment, snapshot) in due {
            let loaded = self.restore_version(name, &deployment, &snapshot);
            self.restore_or_keep(name, deployment, snapshot, loaded);
        }
        self.publish_serving_map(name);
    }

    fn restore_or_keep(
        &mut self,
        name: &ModelName,
        deployment: Deployment,
        snapshot: Arc<Snapshot>,
        loaded: Result<Servable, Refusal>,
    ) {
        match loaded {
            Ok(servable) => self.restore_servable(name, servable),
            Err(refusal) => {
                tracing::warn!(
                    model.name = %name,
                    model.version = %deployment.version,
                    model.digest = deployment.digest.short(),
                    "failed to restore a version that served before: {refusal}"
                );
                let model = self.models.entry(name.clone()).or_default();
                model.keep_unrestored(deployment, snapshot);
            }
        }
    }

    fn restore_servable(&mut self, name: &ModelName, servable: Servable) {
        let (version, digest) = (servable.version, servable.digest());
        let model = self.models.entry(name.clone()).or_default();
        model.restore(servable, Instant::now());
        tracing::info!(
            model.name = %name,
            model.version = %version,
            model.digest = digest.short(),
            "a version that served before was put into service"
        );
        self.parts.history.add(HistoryEntry {
            digest: Some(digest.to_string()),
            ..HistoryEntry::of(name, version, Event::Restored, "start".to_owned())
        });
    }

    fn restore_version(
        &self,
        name: &ModelName,
        deployment: &Deployment,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Servable, Refusal> {
        if let Some(model) = self.models.get(name) {
            model.check_copy(snapshot)?;
        }
        // Another gateway or another ONNX Runtime may judge differently, so the model is proven again before it is
        // loaded here.
        let proof = if deployment.proof.is_of_this_gateway() {
            deployment.proof.clone()
        } else {
            self.parts.prover.prove(snapshot)?
        };
        let monitor = FailureMonitor::without_comparison();
        self.servable((name, deployment.version), Arc::clone(snapshot), proof, monitor)
    }
}

/// Runs `each` task on as many threads as there are CPUs. The results are in the order of the tasks; `None` for a task
/// that panicked.
fn side_by_side<T: Sync, R: Send>(tasks: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        while let Some((number, task)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| Some((number, tasks.get(number)?)))
        {
            done.extend(catch_unwind(AssertUnwindSafe(|| (number, each(task)))));
        }
        done
    };
    let mut results: Vec<Option<R>> = tasks.iter().map(|_| None).collect();
    let done = thread::scope(|scope| {
        let spawn = |_| {
            let thread = thread::Builder::new().name("restore".to_owned()).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, run).ok()
        };
        let others: Vec<_> = (1..Runtime::cpus().min(tasks.len())).filter_map(spawn).collect();
        let mut done = run();
        done.extend(others.into_iter().flat_map(|thread| thread.join().unwrap_or_default()));
        done
    });
    for (number, result) in done {
        if let Some(place) = results.get_mut(number) {
            *place = Some(result);
        }
    }
    results
}
