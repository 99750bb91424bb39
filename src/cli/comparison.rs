//! The comparison of two models, shared by `diff` and `verify`.

use serde_json::{Value, json};

use crate::{
    lifecycle::{CopiedFiles, Proof},
    model::Change,
};

/// The differences that callers would notice when one model replaces another.
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

    /// Adds a note if the graph is unchanged but external data files differ.
    pub(super) fn with_weights(mut self, old: &CopiedFiles, new: &CopiedFiles) -> Self {
        let changed = new.data.iter().filter(|file| !old.data.contains(file));
        let changed: Vec<String> = changed.map(|file| format!("`{}`", file.path.escape_debug())).collect();
        if old.model.digest == new.model.digest && !changed.is_empty() {
            let sentence = format!("the weights differ, in {}; the graph is the same", changed.join(", "));
            self.changes.push(Change { breaks: false, sentence });
        }
        self
    }

    /// Returns the differences, those that break callers first.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns true if callers would break.
    pub(super) fn breaks(&self) -> bool {
        self.changes.iter().any(|change| change.breaks)
    }

    /// Returns the differences as JSON.
    pub(super) fn document(&self) -> Value {
        let sentences = |breaks: bool| -> Vec<&str> {
            let meant = self.changes.iter().filter(|change| change.breaks == breaks);
            meant.map(|change| change.sentence.as_str()).collect()
        };
        json!({"compatible": !self.breaks(), "breaking": sentences(true), "harmless": sentences(false)})
    }

    /// Returns the differences as text, one per line.
    pub(super) fn lines(&self) -> String {
        if self.changes.is_empty() {
            return "callers notice no difference: the same inputs, outputs, features and classes\n"
                .to_owned();
        }
        let line = |Change { breaks, sentence }: &Change| {
            format!("{} {sentence}\n", if *breaks { "breaks  " } else { "harmless" })
        };
        self.changes.iter().map(line).collect()
    }
}
