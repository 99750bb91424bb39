//! Refused contents of a model, and the judgement of copies and proofs by them and by what serves.

use std::sync::Arc;

use super::ManagedModel;
use crate::{
    lifecycle::{
        Proof, Reason, Refusal, Snapshot,
        version_harness::{Admitted, CopyVerdict, Moment, Outcome, VersionEvent},
    },
    model::{Digest, ModelVersion},
};

/// Most refused contents of a model that are remembered, so that none is tried twice.
const REMEMBERED_REFUSALS: usize = 256;

/// The content that was refused. For a breaking change, also the content in service whose callers it would break. The
/// refusal does not hold for another version, or once another content serves.
pub(super) type Refused = (Digest, Option<Digest>);

impl ManagedModel {
    /// Judges a copy by what is known of its content. `others` looks up the proof of another gateway.
    pub(in crate::lifecycle) fn copied(
        &self,
        version: ModelVersion,
        snapshot: Arc<Snapshot>,
        others: impl FnOnce() -> Option<Proof>,
    ) -> Outcome {
        let content = snapshot.content();
        let proof = || self.known_proof(content).or_else(others);
        let verdict = if self.loaded.get(&version).is_some_and(|servable| servable.content() == content) {
            CopyVerdict::Serves
        } else if let Some(refusal) = self.refusal_of(version, &snapshot) {
            CopyVerdict::Refused(refusal)
        } else if let Some(proof) = proof() {
            let breaks_callers = self.breaks_callers(version, &proof);
            CopyVerdict::Proven(Box::new(proof), breaks_callers)
        } else {
            CopyVerdict::Unknown
        };
        let is_part_of_loaded = self.is_part_of_loaded(version, &snapshot);
        Outcome::Copied { snapshot, is_part_of_loaded, verdict }
    }

    /// Judges a proof: the child found no fault, and compatibility with callers is checked here.
    pub(in crate::lifecycle) fn proven(
        &self,
        version: ModelVersion,
        snapshot: Arc<Snapshot>,
        proof: Proof,
    ) -> Outcome {
        let breaks_callers = self.breaks_callers(version, &proof);
        Outcome::Proven { admitted: Box::new(Admitted { snapshot, proof }), breaks_callers }
    }

    /// Blocks automatic retries of this content, even if the reason is transient.
    pub(in crate::lifecycle) fn block(&mut self, content: Digest, refusal: &Refusal) {
        self.refused.insert((content, None), refusal.clone());
    }

    /// Forgets refusals, rollbacks and the unload, so that every content is tried again.
    pub(super) fn forget_refusals(&mut self, at: Moment) {
        self.refused.clear();
        self.rolled_back.clear();
        self.unloaded = false;
        self.on_each(|_, _| Some(VersionEvent::RefusalLifted(None)), at);
    }

    /// Remembers the refusal of a content, unless the reason is transient.
    pub(super) fn record_refusal(&mut self, version: ModelVersion, content: Digest, refusal: &Refusal) {
        if refusal.reason.is_passing() {
            return;
        }
        if self.refused.len() >= REMEMBERED_REFUSALS {
            self.refused.clear();
        }
        let replaced = self.loaded.get(&version).filter(|_| refusal.reason == Reason::IncompatibleSignature);
        let key = (content, replaced.map(|replaced| replaced.content()));
        self.refused.insert(key, refusal.clone());
    }

    /// Returns the previous refusal of this content. `None` if it would not be refused again as this version.
    pub(super) fn refusal_of(&self, version: ModelVersion, snapshot: &Snapshot) -> Option<Refusal> {
        let content = snapshot.content();
        if let Some(refusal) = self.rolled_back_refusal(snapshot) {
            return Some(refusal);
        }
        let replaced = || self.loaded.get(&version).filter(|_| !self.config.allow_breaking_changes);
        let breaking = || self.refused.get(&(content, Some(replaced()?.content())));
        self.refused.get(&(content, None)).or_else(breaking).cloned()
    }

    /// Returns the refusal of a copy whose files were rolled back. `None` if they were not.
    pub(super) fn rolled_back_refusal(&self, snapshot: &Snapshot) -> Option<Refusal> {
        let detail = "it served and was rolled back; a request to load it tries it again";
        let is_rolled_back = self.rolled_back.contains(&snapshot.files_digest());
        is_rolled_back.then(|| Refusal::new(Reason::RolledBack, detail))
    }

    /// Returns true if some files of the copy are those of the version in service, and others are not.
    fn is_part_of_loaded(&self, version: ModelVersion, snapshot: &Snapshot) -> bool {
        self.loaded.get(&version).is_some_and(|servable| {
            let known = servable.snapshot.files();
            let same = snapshot.files().iter().filter(|file| known.contains(file)).count();
            same > 0 && same < snapshot.files().len()
        })
    }

    /// Returns the refusal of a version that would break callers of the one it replaces. `None` if there is none, or
    /// breaking changes are allowed.
    fn breaks_callers(&self, version: ModelVersion, proof: &Proof) -> Option<Refusal> {
        let requested = self.load_request.as_ref().is_some_and(|request| request.allow_breaking_changes);
        let replaced = self.loaded.get(&version)?;
        if self.config.allow_breaking_changes || requested {
            return None;
        }
        Refusal::of_changes(&proof.interface().changes_from(&replaced.proof.interface()))
    }
}
