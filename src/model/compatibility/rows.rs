//! Rows: whether a model takes them, and their number of values.

use super::{Interface, ReportedChanges, Subject, features, reported_changes::is_input};
use crate::model::Layout;

pub(super) fn compare<'m>(old: &Interface<'m>, new: &Interface<'m>, reported: &mut ReportedChanges<'m>) {
    match (&old.layout, &new.layout) {
        (Some(before), Some(now)) => compare_columns((old, before), (new, now), reported),
        (Some(_), None) => lost(reported),
        (None, Some(_)) => gained(new, reported),
        (None, None) if old.takes_lists && !new.takes_lists => {
            reported
                .breaks(Subject::Other, "lists of rows are refused: whole tensors must be given".to_owned());
        }
        (None, None) => {}
    }
}

/// Reports that rows are refused, as a consequence of a difference of the inputs if there is one.
fn lost(reported: &mut ReportedChanges<'_>) {
    if !reported.any_breaks(is_input) && !reported.follows(is_input, "rows are refused") {
        reported.breaks(Subject::Other, "rows are refused: tensors must be given as `inputs`".to_owned());
    }
}

fn gained<'m>(new: &Interface<'m>, reported: &mut ReportedChanges<'m>) {
    if !reported.any(is_input) {
        let names = features::names(new);
        let named = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
        reported.harmless(Subject::Features, format!("rows{named} are taken now"));
    }
}

fn compare_columns<'m>(
    (old, before): (&Interface<'m>, &Layout),
    (new, now): (&Interface<'m>, &Layout),
    reported: &mut ReportedChanges<'m>,
) {
    let (was, is) = (before.columns(), now.columns());
    let names_differ = features::compare_names(old, new, was != is, reported);
    if was != is && !names_differ && !reported.any_breaks(is_input) {
        let sentence = format!("rows have {is} values now, had {was}");
        reported.breaks(Subject::Features, sentence);
    }
    features::compare_each(old, new, now, reported);
    features::compare_missing((old, before), (new, now), reported);
}
