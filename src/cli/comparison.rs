//! The comparison of two models, for `diff` and `verify` alike.

use serde_json::{Value, json};

use crate::{
    lifecycle::{CopiedFile, Proof},
    model::Change,
};

/// The differences that callers would notice of a model in place of another.
pub(super) struct Comparison {
    changes: Vec<Change>,
}

impl Comparison {
    /// Compares two models.
    pub(super) fn of(old: &Proof, new: &Proof) -> Self {
        let mut changes = new.interface().changes_from(&old.interface());
        if old.golden_cases != new.golden_cases {
            let sentence = format!("{} golden cases became {}", old.golden_cases, new.golden_cases);
            changes.push(Change { breaks: false, sentence });
        }
        Self { changes }
    }

    /// Says so where two models are one graph with other weights, which lie in files beside it.
    pub(super) fn add_weights(&mut self, old: &[CopiedFile], new: &[CopiedFile]) {
        let (Some((old, old_data)), Some((new, new_data))) = (old.split_first(), new.split_first()) else {
            return;
        };
        let before = |file: &&CopiedFile| !old_data.contains(file);
        let changed: Vec<String> =
            new_data.iter().filter(before).map(|file| format!("`{}`", file.path.escape_debug())).collect();
        if old.digest == new.digest && !changed.is_empty() {
            let sentence = format!("the weights differ, in {}; the graph is the same", changed.join(", "));
            self.changes.push(Change { breaks: false, sentence });
        }
    }

    /// The differences, those that break callers first.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns true if callers would break.
    pub(super) fn breaks(&self) -> bool {
        self.changes.iter().any(|change| change.breaks)
    }

    /// The differences for programs.
    pub(super) fn document(&self) -> Value {
        let sentences = |breaks: bool| -> Vec<&str> {
            let meant = self.changes.iter().filter(|change| change.breaks == breaks);
            meant.map(|change| change.sentence.as_str()).collect()
        };
        json!({"compatible": !self.breaks(), "breaking": sentences(true), "harmless": sentences(false)})
    }

    /// The differences for people, a line each.
    pub(super) fn lines(&self) -> String {
        if self.changes.is_empty() {
            return "callers notice nothing: the same inputs, outputs, features and classes\n".to_owned();
        }
        let line = |Change { breaks, sentence }: &Change| {
            format!("{} {sentence}\n", if *breaks { "breaks  " } else { "harmless" })
        };
        self.changes.iter().map(line).collect()
    }
}
