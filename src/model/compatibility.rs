//! Differences that callers notice when another model takes the place of the one they call.
//!
//! This is the only definition of it: the gate at a swap and the commands `diff` and `verify` all ask here. A difference
//! breaks callers if a request that was answered is refused, or an answer has another form or another meaning. Each
//! difference is told once, in one sentence.

mod classes;
mod facts;
mod features;
mod inputs;
mod kinds;
mod lists;
mod outputs;
mod pairs;
mod rows;
mod told;

use super::{Contract, Layout, Signature};
use told::{Subject, Told};

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
    /// The interface of a model with this signature and contract. `layout` is how it takes rows of values, `None` if it does
    /// not; `takes_lists` is true if it takes lists of tensors.
    #[must_use]
    pub fn new(
        signature: &'m Signature,
        contract: &'m Contract,
        layout: Option<Layout>,
        takes_lists: bool,
    ) -> Self {
        Self { signature, contract, layout, takes_lists }
    }

    /// Lists what callers of `old` notice once `self` answers them under the same version number: each difference once,
    /// those that break callers first.
    #[must_use]
    pub fn changes_from(&self, old: &Interface<'_>) -> Vec<Change> {
        let mut told = Told::default();
        inputs::compare(old, self, &mut told);
        rows::compare(old, self, &mut told);
        facts::compare(old, self, &mut told);
        inputs::compare_order(old, self, &mut told);
        outputs::compare(old, self, &mut told);
        classes::compare(old, self, &mut told);
        outputs::compare_roles(old, self, &mut told);
        outputs::compare_non_finite(old, self, &mut told);
        told.into_changes()
    }

    /// The names by which answers call the classes, in the order of their probabilities; empty where there are none.
    fn class_keys(&self) -> Vec<String> {
        self.contract.all_class_names()
    }

    /// The labels that the model itself answers, which tensors show; empty where they are not known. Names of classes
    /// without labels in the graph stand for 0, 1, 2 …
    fn labels(&self) -> Vec<String> {
        match &self.contract.graph.labels {
            Some(labels) => labels.names(),
            None => (0..self.contract.classes.len()).map(|label| label.to_string()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
