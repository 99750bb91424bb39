//! Application of a changed scheduler configuration: serving versions are loaded again, from the same copy.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{FailureMonitor, Servable},
    model::ModelName,
};

impl Manager {
    /// Reloads serving versions whose scheduler configuration has changed. Requests in flight finish in the sessions
    /// that they started in.
    pub(super) fn reschedule(&mut self, name: &ModelName) {
        let Some(model) = self.models.get_mut(name) else { return };
        if !std::mem::take(&mut model.needs_reschedule) {
            return;
        }
        let config = &model.config.scheduler;
        let differs = |servable: &&Arc<Servable>| servable.scheduled_by != *config;
        let outdated: Vec<_> = model.loaded.values().filter(differs).cloned().collect();
        for old in outdated {
            self.reschedule_version(name, &old);
        }
    }

    fn reschedule_version(&mut self, name: &ModelName, old: &Arc<Servable>) {
        let (version, keep) = (old.version, self.parts.settings.models.keep_previous);
        let (snapshot, proof) = (Arc::clone(&old.snapshot), old.proof.clone());
        let loaded = self.servable((name, version), snapshot, proof, FailureMonitor::without_comparison());
        let new = match loaded {
            // It is the same version: trial and statistics continue.
            Ok(new) => {
                Servable { trial: Arc::clone(&old.trial), statistics: Arc::clone(&old.statistics), ..new }
            }
            Err(refusal) => return self.refuse(name, version, Some(old.digest()), &refusal),
        };
        tracing::info!(
            model.name = %name,
            model.version = %version,
            mode = new.schedule.mode.name(),
            batching = new.schedule.batching,
            instances = new.schedule.instances,
            threads = new.schedule.threads,
            "the schedule of a version changed"
        );
        let Some(model) = self.models.get_mut(name) else { return };
        let out = model.exchange(Some(Arc::new(new)), &[], None, keep);
        self.publish_serving_map(name);
        self.retired.extend(out);
        self.needs_trim = true;
    }
}
