//! Differences that callers notice when another model replaces the one they call.
//!
//! This is the only definition: the check before a swap and the commands `diff` and `verify` all use it. A difference
//! breaks callers if a request that succeeded is refused, or if a response changes its form or meaning. Each difference
//! is reported once, in one sentence.

mod classes;
mod facts;
mod features;
mod inputs;
mod kinds;
mod lists;
mod outputs;
mod pairs;
mod reported_changes;
mod rows;

use super::{Contract, Layout, Signature};
use reported_changes::{ReportedChanges, Subject};

/// A difference between two models that callers may notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// True if it may break a caller.
    pub breaks: bool,
    /// The difference in one sentence, without a full stop.
    pub sentence: String,
}

/// The side of a model that callers see.
#[derive(Clone, Debug)]
pub struct Interface<'m> {
    signature: &'m Signature,
    contract: &'m Contract,
    layout: Option<Layout>,
    takes_lists: bool,
}

impl<'m> Interface<'m> {
    /// Describes the interface of a model with this signature and contract. `layout` is its row layout, `None` if it
    /// does not take rows; `takes_lists` is true if it takes lists of tensors.
    #[must_use]
    pub fn new(
        signature: &'m Signature,
        contract: &'m Contract,
        layout: Option<Layout>,
        takes_lists: bool,
    ) -> Self {
        Self { signature, contract, layout, takes_lists }
    }

    /// Lists the differences for callers of `old` once `self` serves under the same version number. Each is listed
    /// once, those that break callers first.
    #[must_use]
    pub fn changes_from(&self, old: &Interface<'_>) -> Vec<Change> {
        let mut reported = ReportedChanges::default();
        inputs::compare(old, self, &mut reported);
        rows::compare(old, self, &mut reported);
        facts::compare(old, self, &mut reported);
        inputs::compare_order(old, self, &mut reported);
        outputs::compare(old, self, &mut reported);
        classes::compare(old, self, &mut reported);
        outputs::compare_roles(old, self, &mut reported);
        outputs::compare_non_finite(old, self, &mut reported);
        reported.into_changes()
    }

    /// Returns the names of the classes in responses, in the order of their probabilities; empty if there are none.
    fn class_keys(&self) -> Vec<String> {
        self.contract.all_class_names()
    }

    /// Returns the labels that the model itself outputs, which responses with tensors show; empty if they are unknown.
    /// Class names without labels in the graph stand for 0, 1, 2 …
    fn labels(&self) -> Vec<String> {
        match &self.contract.graph.labels {
            Some(labels) => labels.names(),
            None => (0..self.contract.classes.len()).map(|label| label.to_string()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
