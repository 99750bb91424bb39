//! Application of a changed scheduler configuration: serving versions are loaded again, from the same copy.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{FailureMonitor, Servable, managed_model::ManagedModel, version_harness::VersionEvent},
    model::ModelName,
};

impl Manager {
    /// Reloads serving versions whose scheduler configuration has changed. Requests in flight finish in the sessions
    /// that they started in.
    pub(super) fn reschedule(&mut self, name: &ModelName) {
        let outdated = self.models.get_mut(name).map(ManagedModel::take_outdated).unwrap_or_default();
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
                Servable { monitor: Arc::clone(&old.monitor), statistics: Arc::clone(&old.statistics), ..new }
            }
            Err(refusal) => {
                let digest = Some(old.digest());
                return self.transition(name, version, VersionEvent::Refused { digest, refusal });
            }
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
        let out = model.reschedule(Arc::new(new), keep);
        self.publish_serving_map(name);
        self.retired.extend(out);
        self.needs_trim = true;
    }
}
