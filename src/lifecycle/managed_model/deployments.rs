//! Deployments of a model: what serves, what served before, and what was rolled back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::ManagedModel;
use crate::{
    lifecycle::{
        Deployment, Followed, ModelDeployments, Proof, Reason, Refusal, Servable, Snapshot,
        version_harness::{Moment, VersionEvent},
    },
    model::{Digest, ModelVersion},
};

/// Pause before a failed attempt to follow another gateway's rollback is retried.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A version that was taken out of service.
pub(in crate::lifecycle) struct Withdrawn {
    pub(in crate::lifecycle) servable: Arc<Servable>,
    /// True if its files are not in the repository any more.
    pub(in crate::lifecycle) is_removed: bool,
    /// True if another version serves in its place.
    pub(in crate::lifecycle) is_superseded: bool,
}

impl ManagedModel {
    /// Returns the state that survives a restart.
    pub(in crate::lifecycle) fn deployments(&self) -> ModelDeployments {
        ModelDeployments {
            serving: self
                .loaded
                .values()
                .map(|servable| servable.deployment())
                .chain(self.unrestored.iter().map(|(deployment, _)| deployment.clone()))
                .collect(),
            previous: self.previous.iter().map(|(deployment, _)| deployment.clone()).collect(),
            rolled_back: self.rolled_back.clone(),
            unloaded: self.unloaded,
        }
    }

    /// Returns the previous deployments with their copies, newest last.
    pub(in crate::lifecycle) fn previous(&self) -> &[(Deployment, Arc<Snapshot>)] {
        &self.previous
    }

    /// Returns the content that the next version replaces, with the share of its responses that failed: the version in
    /// service, or the one that was evicted for the next.
    pub(in crate::lifecycle) fn replaced(&self) -> Option<(Digest, f64)> {
        let current = self.current().map(|servable| (servable.digest(), servable.monitor.failure_share()));
        current.or(self.evicted)
    }

    /// Returns true if a version was evicted for the next one, and none serves.
    pub(in crate::lifecycle) fn is_evicted(&self) -> bool {
        self.evicted.is_some() && self.loaded.is_empty()
    }

    /// Puts a new version into service. Returns the servables that are out of service now.
    pub(in crate::lifecycle) fn put(&mut self, servable: Arc<Servable>, keep: usize) -> Vec<Arc<Servable>> {
        let out = self.exchange(Some(servable), &[], None, keep);
        self.evicted = None;
        out
    }

    /// Puts a version into service in place of itself, with another schedule.
    pub(in crate::lifecycle) fn reschedule(
        &mut self,
        servable: Arc<Servable>,
        keep: usize,
    ) -> Vec<Arc<Servable>> {
        self.exchange(Some(servable), &[], None, keep)
    }

    /// Takes a version out of service. `None` if it does not serve.
    pub(in crate::lifecycle) fn unload(
        &mut self,
        version: ModelVersion,
        keep: usize,
        at: Moment,
    ) -> Option<Withdrawn> {
        let servable = self.exchange(None, &[version], None, keep).into_iter().next()?;
        self.on(version, VersionEvent::Unloaded, at);
        let is_removed = !self.aspired.contains_key(&version);
        let is_superseded = !self.unloaded && !is_removed && self.current().is_some();
        if !is_superseded {
            self.evicted = Some((servable.digest(), servable.monitor.failure_share()));
        }
        Some(Withdrawn { servable, is_removed, is_superseded })
    }

    /// Takes all versions out of service, by request. Returns the servables.
    pub(in crate::lifecycle) fn unload_by_request(&mut self, keep: usize, at: Moment) -> Vec<Arc<Servable>> {
        self.unloaded = true;
        self.unload_all(keep, at)
    }

    /// Applies the changes of another gateway. Returns the servables that are out of service now.
    pub(in crate::lifecycle) fn follow(
        &mut self,
        followed: &Followed,
        keep: usize,
        at: Moment,
    ) -> Vec<Arc<Servable>> {
        followed.apply(&mut self.rolled_back, &mut self.unloaded);
        if !followed.allowed.is_empty() {
            self.on_each(|_, _| Some(VersionEvent::RefusalLifted(Some(Reason::RolledBack))), at);
        }
        if followed.unloaded == Some(true) { self.unload_all(keep, at) } else { Vec::new() }
    }

    /// Forgets the newest previous deployment, which is about to serve again.
    pub(in crate::lifecycle) fn forget_last_previous(&mut self) {
        self.previous.pop();
    }

    /// Puts a previous deployment into service, and blocks the content that was rolled back. Returns the servables that
    /// are out of service now.
    pub(in crate::lifecycle) fn roll_back_to(
        &mut self,
        good: &Arc<Servable>,
        bad: Option<&Arc<Servable>>,
        keep: usize,
        at: Moment,
    ) -> Vec<Arc<Servable>> {
        let taken: Vec<ModelVersion> =
            bad.iter().map(|bad| bad.version).filter(|version| *version != good.version).collect();
        let mut out = self.exchange(Some(Arc::clone(good)), &taken, bad.map(|bad| bad.content()), keep);
        self.unloaded = false;
        self.evicted = None;
        if let Some(bad) = bad {
            self.rolled_back.insert(bad.snapshot.files_digest());
            if let Some(refusal) = self.refusal_of(bad.version, &bad.snapshot) {
                self.on(bad.version, VersionEvent::RolledBack(refusal), at);
            }
        }
        out.retain(|servable| !Arc::ptr_eq(servable, good));
        out
    }

    /// Returns true if the files of this copy were rolled back.
    pub(in crate::lifecycle) fn has_rolled_back(&self, snapshot: &Snapshot) -> bool {
        self.rolled_back.contains(&snapshot.files_digest())
    }

    /// Returns the version in service, if another gateway rolled it back.
    pub(in crate::lifecycle) fn rolled_back_by_others(&self) -> Option<&Arc<Servable>> {
        if self.rolled_back.is_empty() {
            return None;
        }
        self.current().filter(|current| self.has_rolled_back(&current.snapshot))
    }

    /// Returns true unless following another gateway's rollback failed a moment ago.
    pub(in crate::lifecycle) fn may_retry_rollback(&self, now: Instant) -> bool {
        self.failed_to_go_back_at.is_none_or(|at| now.saturating_duration_since(at) >= RETRY_AFTER)
    }

    /// Records that following another gateway's rollback failed.
    pub(in crate::lifecycle) fn record_failed_rollback(&mut self, now: Instant) {
        self.failed_to_go_back_at = Some(now);
    }

    /// Checks that an existing copy may still serve: it is intact, and the present configuration allows it.
    pub(in crate::lifecycle) fn check_copy(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let pinned = &self.config.pin.sha256;
        if let Some(digest) = snapshot.digests().find(|digest| !pinned.is_empty() && !pinned.contains(digest))
        {
            let detail = format!("the sha256 {digest} is not one of pin.sha256");
            return Err(Refusal::new(Reason::DigestMismatch, detail));
        }
        snapshot.verify().map_err(|error| Refusal::new(Reason::Unreadable, format!("its copy: {error}")))
    }

    /// Returns the proof of a content that serves or served before, which saves making it again.
    pub(super) fn known_proof(&self, content: Digest) -> Option<Proof> {
        let serving = self.loaded.values().find(|servable| servable.content() == content);
        let before = self.previous.iter().find(|(deployment, _)| deployment.content == content);
        serving
            .map(|servable| servable.proof.clone())
            .or_else(|| before.map(|(deployment, _)| deployment.proof.clone()))
            .filter(Proof::is_of_this_gateway)
    }

    fn unload_all(&mut self, keep: usize, at: Moment) -> Vec<Arc<Servable>> {
        let versions: Vec<ModelVersion> = self.loaded.keys().copied().collect();
        let out = self.exchange(None, &versions, None, keep);
        self.on_each(|_, _| Some(VersionEvent::Unloaded), at);
        out
    }

    /// Puts a servable into service and removes others in one step. Returns the servables that are out of service now.
    /// The previous current one becomes the target of a rollback, unless its content is `bad`.
    fn exchange(
        &mut self,
        put: Option<Arc<Servable>>,
        take: &[ModelVersion],
        bad: Option<Digest>,
        keep: usize,
    ) -> Vec<Arc<Servable>> {
        let before = self.current().cloned();
        let mut out: Vec<_> = take.iter().filter_map(|version| self.loaded.remove(version)).collect();
        out.extend(put.and_then(|servable| self.loaded.insert(servable.version, servable)));
        let now = self.current().map(|servable| servable.content());
        if let Some(before) = before.filter(|before| Some(before.content()) != now) {
            let content = before.content();
            self.previous.retain(|(deployment, _)| deployment.content != content);
            if Some(content) != bad {
                self.previous.push((before.deployment(), Arc::clone(&before.snapshot)));
            }
        }
        // The content that serves is not a target of a rollback, and no longer counts as rolled back.
        self.previous.retain(|(deployment, _)| Some(deployment.content) != now);
        let files = self.current().map(|servable| servable.snapshot.files_digest());
        self.rolled_back.retain(|digest| Some(*digest) != files);
        let surplus = self.previous.len().saturating_sub(keep);
        self.previous.drain(..surplus);
        out
    }
}
