//! Models that there is something to do about: what follows for a thousand of them is not worked out again whenever
//! something changes about one.

use std::collections::{BTreeSet, HashSet};

use super::Patience;
use crate::{
    lifecycle::{policy::Standing, record::Model},
    model::ModelName,
};

/// The models that the manager has to think about.
#[derive(Default)]
pub(super) struct Pending {
    /// Something changed about them.
    changed: BTreeSet<ModelName>,
    /// Time alone changes how their files stand.
    unsettled: HashSet<ModelName>,
    /// Time alone brings back what served before.
    unrestored: HashSet<ModelName>,
    /// A candidate on which it depends what serves is being tried.
    busy: HashSet<ModelName>,
    /// True if the last look found what the one before did, and all of it settled.
    rests: bool,
}

impl Pending {
    /// Notes that something changed about a model.
    pub(super) fn change(&mut self, name: &ModelName) {
        if !self.changed.contains(name) {
            self.changed.insert(name.clone());
        }
    }

    /// Returns true if something changed that nothing followed from yet.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes down if a look found what the one before did, and all of it settled.
    pub(super) fn note_look(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// Returns true if there is nothing to do about any model, now or by and by.
    pub(super) fn is_quiet(&self) -> bool {
        self.rests
            && self.changed.is_empty()
            && self.unsettled.is_empty()
            && self.unrestored.is_empty()
            && self.busy.is_empty()
    }

    /// Returns true if a file has to be looked at again soon.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Returns true if a candidate on which it depends what serves is being tried.
    pub(super) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// The models of which something may follow now, sorted.
    pub(super) fn take(&mut self) -> Vec<ModelName> {
        let mut names = std::mem::take(&mut self.changed);
        names.extend(self.unsettled.iter().chain(&self.unrestored).cloned());
        names.into_iter().collect()
    }

    /// Takes down how a model stands, now that everything was done that follows from it; `None` if it is forgotten.
    pub(super) fn note(&mut self, name: &ModelName, model: Option<&Model>, patience: Patience) {
        let is_tried = |standing| matches!(standing, Standing::Trying | Standing::Proven);
        let is_busy = model.is_some_and(|model| model.decisive_standings(patience).any(is_tried));
        let is_unsettled = model.is_some_and(|model| model.is_unsettled(patience));
        let is_unrestored = model.is_some_and(|model| !model.unrestored.is_empty());
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
