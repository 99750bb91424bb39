//! Models that need an action. A change of one model among a thousand does not evaluate the others again.

use std::collections::{BTreeSet, HashSet};

use crate::{
    lifecycle::{managed_model::ManagedModel, policy::CandidateState, version_harness::Moment},
    model::ModelName,
};

/// Models that the manager has to evaluate.
#[derive(Default)]
pub(super) struct Pending {
    /// Models that changed.
    changed: BTreeSet<ModelName>,
    /// Models with files that settle as time passes.
    unsettled: HashSet<ModelName>,
    /// Models whose previous deployment is retried as time passes.
    unrestored: HashSet<ModelName>,
    /// Models with a candidate in progress that decides what serves.
    busy: HashSet<ModelName>,
    /// True if the last scan found no change and every file had settled.
    rests: bool,
}

impl Pending {
    /// Marks a model as changed.
    pub(super) fn change(&mut self, name: &ModelName) {
        if !self.changed.contains(name) {
            self.changed.insert(name.clone());
        }
    }

    /// Returns true if a change was not handled yet.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Records whether a scan found no change and every file had settled.
    pub(super) fn record_scan(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// Returns true if no model needs an action, now or as time passes.
    pub(super) fn is_quiet(&self) -> bool {
        self.rests
            && self.changed.is_empty()
            && self.unsettled.is_empty()
            && self.unrestored.is_empty()
            && self.busy.is_empty()
    }

    /// Returns true if a file is still settling.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Returns true if a candidate that decides what serves is being tried.
    pub(super) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Takes the models to evaluate now, sorted.
    pub(super) fn take(&mut self) -> Vec<ModelName> {
        let mut names = std::mem::take(&mut self.changed);
        names.extend(self.unsettled.iter().chain(&self.unrestored).cloned());
        names.into_iter().collect()
    }

    /// Records the state of a model after its evaluation. `model` is `None` if it was forgotten.
    pub(super) fn reconcile(&mut self, name: &ModelName, model: Option<&ManagedModel>, at: Moment) {
        let is_tried = |state| matches!(state, CandidateState::Trying | CandidateState::Proven);
        let is_busy = model.is_some_and(|model| model.decisive_states(at).any(is_tried));
        let is_unsettled = model.is_some_and(|model| model.is_unsettled(at));
        let is_unrestored = model.is_some_and(|model| !model.unrestored().is_empty());
        for (set, belongs) in [
            (&mut self.busy, is_busy),
            (&mut self.unsettled, is_unsettled),
            (&mut self.unrestored, is_unrestored),
        ] {
            if !belongs {
                set.remove(name);
            } else if !set.contains(name) {
                set.insert(name.clone());
            }
        }
    }
}
