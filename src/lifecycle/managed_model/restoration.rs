//! Restoration of what served when the process ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::ManagedModel;
use crate::lifecycle::{Deployment, ModelDeployments, Servable, Snapshot, version_harness::VersionHarness};

/// Pause before a failed restoration is retried.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The next step of a model's restoration.
pub(in crate::lifecycle) enum Restoration {
    /// No restoration is due now.
    NotDue,
    /// Another version serves, or none should: what served before is given up.
    GivenUp,
    /// These deployments are due.
    Due(Vec<(Deployment, Arc<Snapshot>)>),
}

impl ManagedModel {
    /// Sets the record to that of the state directory. `serving` and `previous` are the deployments whose copies exist.
    pub(in crate::lifecycle) fn reopen(
        &mut self,
        recorded: ModelDeployments,
        reopened: impl Fn(Deployment) -> Option<(Deployment, Arc<Snapshot>)>,
    ) {
        let ModelDeployments { serving, previous, rolled_back, unloaded } = recorded;
        self.unrestored = serving.into_iter().filter_map(&reopened).collect();
        self.previous = previous.into_iter().filter_map(&reopened).collect();
        (self.rolled_back, self.unloaded) = (rolled_back, unloaded);
    }

    /// Returns the deployments that could not be restored yet.
    pub(in crate::lifecycle) fn unrestored(&self) -> &[(Deployment, Arc<Snapshot>)] {
        &self.unrestored
    }

    /// Returns true if the model should serve and its restoration was tried.
    pub(in crate::lifecycle) fn was_restored(&self) -> bool {
        !self.unloaded && self.restored_at.is_some()
    }

    /// Begins the restoration at the start. Returns the deployments to restore: none if the model was unloaded.
    pub(in crate::lifecycle) fn begin_restoration(
        &mut self,
        now: Instant,
    ) -> Vec<(Deployment, Arc<Snapshot>)> {
        if self.unloaded || self.unrestored.is_empty() {
            return Vec::new();
        }
        self.restored_at = Some(now);
        std::mem::take(&mut self.unrestored)
    }

    /// Takes the next step of the restoration, which is retried until another version serves.
    pub(in crate::lifecycle) fn next_restoration(&mut self, now: Instant) -> Restoration {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < RETRY_AFTER;
        if self.unrestored.is_empty() || self.restored_at.is_some_and(is_recent) {
            return Restoration::NotDue;
        }
        if self.unloaded || (self.restored_at.is_some() && !self.loaded.is_empty()) {
            self.unrestored.clear();
            return Restoration::GivenUp;
        }
        Restoration::Due(self.begin_restoration(now))
    }

    /// Keeps a deployment that could not be restored for the next try.
    pub(in crate::lifecycle) fn keep_unrestored(&mut self, deployment: Deployment, snapshot: Arc<Snapshot>) {
        self.unrestored.push((deployment, snapshot));
    }

    /// Puts a restored version into service.
    pub(in crate::lifecycle) fn restore(&mut self, servable: Servable, now: Instant) {
        let version = servable.version;
        self.aspired.entry(version).or_insert_with(|| VersionHarness::restored(now));
        self.loaded.insert(version, Arc::new(servable));
    }
}
