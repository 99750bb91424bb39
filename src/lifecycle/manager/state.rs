//! The state directory: changes by other gateways are followed, and failed writes are retried.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Manager;
use crate::{
    lifecycle::{Deployment, Followed, Reason, Refusal, Servable, Snapshot},
    model::{ModelName, ModelVersion},
};

/// Time after which the remaining retries wait for the next pass.
const LONGEST_WRITE: Duration = Duration::from_secs(1);

/// State directory as last reported.
#[derive(Debug, Default)]
pub(super) struct ReportedState {
    problem: Option<String>,
    generation: u64,
    lacks_locks: bool,
    /// Kind of the error that prevented a model's state from being written.
    unwritten: Option<String>,
}

impl ReportedState {
    /// Creates the initial report, for this generation of the folder.
    pub(super) fn new(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }
}

impl Manager {
    /// Synchronizes with the state directory: follows the changes of others, retries failed writes, and fills a removed
    /// folder again.
    pub(super) fn keep_state(&mut self) {
        self.parts.store.refresh();
        self.report_state();
        let generation = self.parts.store.generation();
        if std::mem::replace(&mut self.state.generation, generation) != generation {
            self.parts.history.use_file(self.parts.store.history_file());
            self.parts.store.retake_lock();
            self.copy_again();
        }
        self.follow();
        self.rewrite();
        self.take_back_as_others();
        self.parts.history.refresh();
    }

    /// Retries writes that failed before.
    fn rewrite(&mut self) {
        let unwritten = self.parts.store.unwritten();
        if unwritten.is_empty() && self.state.unwritten.take().is_some() {
            tracing::info!("resumed writing the record of what serves");
        }
        let begin = Instant::now();
        for name in unwritten {
            self.remember(&name);
            // A gateway that hangs while it holds the write lock must not block all other work of this one.
            if begin.elapsed() >= LONGEST_WRITE {
                return;
            }
        }
    }

    /// Logs once that the record of what serves cannot be written.
    pub(super) fn report_unwritten(&mut self, error: &io::Error) {
        // Compared by kind, because the message may name another file each time.
        let kind = error.kind().to_string();
        if self.state.unwritten.as_ref() != Some(&kind) {
            tracing::error!(
                %error,
                "failed to write the record of what serves; models keep serving, and the write is retried every \
                 second. A restart until then restores the last record"
            );
            self.parts.metrics.set_state_available(false);
            self.state.unwritten = Some(kind);
        }
    }

    /// Follows rollbacks, permissions and unloads by other gateways.
    pub(super) fn follow(&mut self) {
        for (name, followed) in self.parts.store.follow() {
            self.apply(&name, &followed);
        }
    }

    /// Applies the changes of others to one model.
    pub(super) fn apply(&mut self, name: &ModelName, followed: &Followed) {
        if followed.is_nothing() {
            return;
        }
        self.pending.change(name);
        let (keep, at) = (self.parts.settings.models.keep_previous, self.moment());
        let model = self.models.entry(name.clone()).or_default();
        let out = model.follow(followed, keep, at);
        tracing::info!(
            model.name = %name,
            taken_back = followed.taken_back.len(),
            allowed = followed.allowed.len(),
            unloaded = followed.unloaded,
            "another gateway changed what may serve"
        );
        if followed.unloaded == Some(true) {
            self.publish_serving_map(name);
            self.retired.extend(out);
        }
    }

    /// Rolls back versions that another gateway rolled back, to what serves there or served before.
    fn take_back_as_others(&mut self) {
        let is_taken_back = |model: &&ModelName| self.bad_of(model).is_some();
        let names: Vec<ModelName> = self.models.keys().filter(is_taken_back).cloned().collect();
        for name in names {
            let Some(bad) = self.bad_of(&name) else { continue };
            self.pending.change(&name);
            if self.models.get(&name).is_some_and(|model| !model.may_retry_rollback(Instant::now())) {
                continue;
            }
            match self.roll_back_from(&name, &bad) {
                Ok(version) => tracing::warn!(
                    model.name = %name,
                    model.version = %version,
                    model.replaces = bad.digest().short(),
                    "rolled back, as another gateway on models.state_directory did"
                ),
                Err(refusal) => {
                    tracing::warn!(
                        model.name = %name,
                        model.digest = bad.digest().short(),
                        "failed to roll back as another gateway did; the version keeps serving: {refusal}"
                    );
                    if let Some(model) = self.models.get_mut(&name) {
                        model.record_failed_rollback(Instant::now());
                    }
                }
            }
        }
    }

    /// Returns the version in service, if another gateway rolled it back.
    fn bad_of(&self, name: &ModelName) -> Option<Arc<Servable>> {
        self.models.get(name)?.rolled_back_by_others().cloned()
    }

    fn roll_back_from(&mut self, name: &ModelName, bad: &Arc<Servable>) -> Result<ModelVersion, Refusal> {
        let nothing = || Refusal::new(Reason::Unreadable, "there is no copy of what served before it");
        let (target, snapshot) = self.before(name).ok_or_else(nothing)?;
        let good = self.servable_before(name, &target, &snapshot)?;
        let version = good.version;
        self.put_before(name, &good, Some(bad));
        Ok(version)
    }

    /// Finds the last deployment that was not rolled back: first among those recorded by other gateways, then among
    /// those known here.
    fn before(&self, name: &ModelName) -> Option<(Deployment, Arc<Snapshot>)> {
        let model = self.models.get(name)?;
        let known = self.parts.store.known_deployments(name).into_iter().filter_map(|deployment| {
            let snapshot = self.parts.store.reopen(deployment.content).ok()?;
            Some((Deployment { digest: snapshot.digest(), ..deployment }, snapshot))
        });
        let mut candidates = known.chain(model.previous().iter().rev().cloned());
        candidates.find(|(_, snapshot)| !model.has_rolled_back(snapshot))
    }

    /// Starts new copies of files whose copies were lost with the folder, or did not fit.
    fn copy_again(&mut self) {
        let at = self.moment();
        let names: Vec<ModelName> = self.models.keys().cloned().collect();
        for name in names {
            self.pending.change(&name);
            if let Some(model) = self.models.get_mut(&name) {
                let effects = model.copy_again(at);
                self.carry_out(&name, effects);
            }
        }
    }

    /// Logs once that the folder cannot be used, and once that it can be used again.
    pub(super) fn report_state(&mut self) {
        let problem = self.parts.store.problem().map(|problem| problem.to_string());
        let is_joined = self.state.generation != self.parts.store.generation();
        match (&self.state.problem, &problem) {
            (known, Some(problem)) if known.as_ref() != Some(problem) => tracing::warn!(
                "{problem}; models keep serving. Deployments, their history and the option to roll back end with this \
                 process unless the folder becomes usable, which is checked every second"
            ),
            (Some(_), None) => tracing::info!("models.state_directory is usable again"),
            (None, None) if is_joined && self.state.generation > 0 => tracing::warn!(
                "models.state_directory was removed or replaced, and was created again; the copies of earlier \
                 deployments are lost"
            ),
            _ => {}
        }
        let lacks_locks = self.parts.store.lacks_locks();
        if lacks_locks && !self.state.lacks_locks {
            tracing::warn!(
                "the file system of models.state_directory has no locks: gateways that share it may overwrite each \
                 other's records, and copies held by a killed one are not removed"
            );
        }
        self.state.lacks_locks = lacks_locks;
        self.parts.metrics.set_state_available(problem.is_none() && self.state.unwritten.is_none());
        self.state.problem = problem;
    }
}
