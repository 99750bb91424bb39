//! The differences found so far, each listed once.

use super::Change;

/// The subject of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'m> {
    /// The input with this name in the new model, or in the old one if it is gone.
    Input(&'m str),
    /// The kind of the output with this name.
    Output(&'m str),
    /// The names of the outputs, or their order.
    OutputNames,
    /// The names or the number of the features.
    Features,
    /// The classes.
    Classes,
    /// Anything else.
    Other,
}

/// The differences found so far.
#[derive(Debug, Default)]
pub(super) struct ReportedChanges<'m>(Vec<(Subject<'m>, Change)>);

impl<'m> ReportedChanges<'m> {
    /// Adds a difference that breaks callers.
    pub(super) fn breaks(&mut self, subject: Subject<'m>, sentence: String) {
        self.0.push((subject, Change { breaks: true, sentence }));
    }

    /// Adds a difference that breaks no caller.
    pub(super) fn harmless(&mut self, subject: Subject<'m>, sentence: String) {
        self.0.push((subject, Change { breaks: false, sentence }));
    }

    /// Returns true if there is a difference about a matching subject.
    pub(super) fn any(&self, is_meant: impl Fn(Subject<'m>) -> bool) -> bool {
        self.0.iter().any(|(subject, _)| is_meant(*subject))
    }

    /// Returns true if a difference about a matching subject breaks callers.
    pub(super) fn any_breaks(&self, is_meant: impl Fn(Subject<'m>) -> bool) -> bool {
        self.0.iter().any(|(subject, change)| change.breaks && is_meant(*subject))
    }

    /// Adds a consequence, which breaks callers, to a difference about a matching subject. Returns true if there is
    /// one; otherwise the caller reports the consequence as a difference of its own.
    pub(super) fn follows(&mut self, is_meant: impl Fn(Subject<'m>) -> bool, consequence: &str) -> bool {
        let meant = || self.0.iter().enumerate().filter(|(_, (subject, _))| is_meant(*subject));
        let breaking = meant().find(|(_, (_, change))| change.breaks);
        let Some((place, _)) = breaking.or_else(|| meant().next()) else { return false };
        let change = &mut self.0[place].1;
        change.breaks = true;
        change.sentence.push_str(": ");
        change.sentence.push_str(consequence);
        true
    }

    /// Returns all differences, those that break callers first.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let (mut breaking, harmless): (Vec<Change>, Vec<Change>) =
            self.0.into_iter().map(|(_, change)| on_one_line(change)).partition(|change| change.breaks);
        breaking.extend(harmless);
        breaking
    }
}

/// Escapes control characters: a name may be any string, and must not end the line of the sentence.
fn on_one_line(mut change: Change) -> Change {
    if change.sentence.contains(char::is_control) {
        let shown = |character: char| match character {
            control if control.is_control() => control.escape_default().to_string(),
            other => other.to_string(),
        };
        change.sentence = change.sentence.chars().map(shown).collect();
    }
    change
}

/// Returns true if the subject is an input of the model.
pub(super) fn is_input(subject: Subject<'_>) -> bool {
    matches!(subject, Subject::Input(_))
}
