//! Events: what scans, workers, the policy and operators change in a model's versions, and the effects to carry out.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use super::ManagedModel;
use crate::{
    lifecycle::{
        Candidate, Reason,
        version_harness::{Effect, Moment, Output, VersionEvent, VersionHarness, refusal_outputs},
    },
    model::ModelVersion,
};

/// Effects with the version that each is for.
pub(in crate::lifecycle) type Effects = Vec<(ModelVersion, Effect)>;

/// Rules for versions whose files are gone.
#[derive(Clone, Copy, Debug)]
pub(in crate::lifecycle) struct RemovalRules {
    /// Time for the files to return before the version is removed.
    pub(in crate::lifecycle) grace: Duration,
    /// True if versions in service serve on without their files.
    pub(in crate::lifecycle) keeps: bool,
    /// True if the repository lost all its models at once, and they may return.
    pub(in crate::lifecycle) may_return: bool,
}

impl ManagedModel {
    /// Applies an event to a version. Returns the effects for the manager to carry out; those on this record are done.
    pub(in crate::lifecycle) fn on(
        &mut self,
        version: ModelVersion,
        event: VersionEvent,
        at: Moment,
    ) -> Effects {
        let event = self.judged(version, event);
        let outputs = match (self.aspired.get_mut(&version), event) {
            (Some(harness), event) => harness.on(event, at),
            // It serves without files in the repository.
            (None, VersionEvent::Refused { digest, refusal }) => refusal_outputs(digest, refusal, true),
            (None, _) => Vec::new(),
        };
        let mut effects = Vec::new();
        for output in outputs {
            match output {
                Output::Remember { content, refusal } => self.record_refusal(version, content, &refusal),
                Output::Reschedule => self.needs_reschedule = true,
                Output::Effect(effect) => effects.push((version, effect)),
            }
        }
        effects
    }

    /// Reconciles the versions with the files that a scan found.
    pub(in crate::lifecycle) fn reconcile(
        &mut self,
        candidates: BTreeMap<ModelVersion, Candidate>,
        rules: RemovalRules,
        at: Moment,
    ) -> Effects {
        let mut effects = self
            .on_each(|version, _| (!candidates.contains_key(&version)).then_some(VersionEvent::Missed), at);
        for (version, candidate) in candidates {
            if let Entry::Vacant(vacant) = self.aspired.entry(version) {
                vacant.insert(VersionHarness::new(candidate, at.now));
            } else {
                effects.extend(self.on(version, VersionEvent::Found(candidate), at));
            }
        }
        effects.extend(self.remove_gone(rules, at));
        effects.extend(self.on_each(|_, _| Some(VersionEvent::Scanned), at));
        effects
    }

    /// Releases copies that were proven although the policy has meanwhile chosen other versions.
    pub(in crate::lifecycle) fn drop_unwanted(&mut self, at: Moment) -> Effects {
        if self.aspired.values().all(|harness| harness.admitted().is_none()) {
            return Vec::new();
        }
        let relevant = self.relevant(at);
        self.on_each(|version, _| (!relevant.contains(&version)).then_some(VersionEvent::NotNeeded), at)
    }

    /// Tries files again whose copies were lost with the state directory, or did not fit into it.
    pub(in crate::lifecycle) fn copy_again(&mut self, at: Moment) -> Effects {
        let refused = Some(Reason::StorageUnavailable);
        let mut effects = self.on_each(|_, _| Some(VersionEvent::RefusalLifted(refused)), at);
        let is_lost = |model: &Self, version| {
            model.loaded.get(&version).is_some_and(|servable| !servable.snapshot.is_there())
        };
        effects.extend(
            self.on_each(|version, model| is_lost(model, version).then_some(VersionEvent::CopyLost), at),
        );
        effects
    }

    /// Applies an event to each version with files in the repository. `None` if there is none for a version.
    pub(super) fn on_each(
        &mut self,
        event: impl Fn(ModelVersion, &Self) -> Option<VersionEvent>,
        at: Moment,
    ) -> Effects {
        let versions: Vec<ModelVersion> = self.aspired.keys().copied().collect();
        let mut effects = Vec::new();
        for version in versions {
            if let Some(event) = event(version, self) {
                effects.extend(self.on(version, event, at));
            }
        }
        effects
    }

    /// Removes versions whose files are gone: at once if they do not serve, else after the grace period.
    fn remove_gone(&mut self, rules: RemovalRules, at: Moment) -> Effects {
        let is_over = |harness: &VersionHarness| {
            harness.gone_since().is_some_and(|since| at.since(since) >= rules.grace)
        };
        let serves_on = |version, model: &Self| {
            rules.keeps
                && model.loaded.contains_key(&version)
                && model.aspired.get(&version).is_some_and(is_over)
        };
        let effects =
            self.on_each(|version, model| serves_on(version, model).then_some(VersionEvent::Kept), at);
        let loaded = &self.loaded;
        let stays = rules.keeps || rules.may_return;
        self.aspired.retain(|version, harness| {
            harness.gone_since().is_none() || (loaded.contains_key(version) && (stays || !is_over(harness)))
        });
        effects
    }

    /// Replaces a load that may not be any more: the model was unloaded, or the copy was rolled back meanwhile.
    fn judged(&self, version: ModelVersion, event: VersionEvent) -> VersionEvent {
        let admitted = self.aspired.get(&version).and_then(VersionHarness::admitted);
        match (event, admitted) {
            (VersionEvent::LoadDue, Some(_)) if self.unloaded => VersionEvent::NotNeeded,
            (VersionEvent::LoadDue, Some(admitted)) => match self.rolled_back_refusal(&admitted.snapshot) {
                Some(refusal) => VersionEvent::Refused { digest: Some(admitted.snapshot.digest()), refusal },
                None => VersionEvent::LoadDue,
            },
            (event, _) => event,
        }
    }
}
