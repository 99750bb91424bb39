//! Rows: whether a model takes them, and their number of values.

use super::{Interface, ReportedChanges, Subject, features, reported_changes::is_input};
use crate::model::Layout;

pub(super) fn compare<'m>(old: &Interface<'m>, new: &Interface<'m>, told: &mut ReportedChanges<'m>) {
    match (&old.layout, &new.layout) {
        (Some(before), Some(now)) => compare_columns((old, before), (new, now), told),
        (Some(_), None) => lost(told),
        (None, Some(_)) => gained(new, told),
        (None, None) if old.takes_lists && !new.takes_lists => {
            told.breaks(Subject::Other, "lists of rows are refused: whole tensors must be given".to_owned());
        }
        (None, None) => {}
    }
}

/// Reports that rows are refused, as a consequence of a difference of the inputs if there is one.
fn lost(told: &mut ReportedChanges<'_>) {
    if !told.any_breaks(is_input) && !told.follows(is_input, "rows are refused") {
        told.breaks(Subject::Other, "rows are refused: tensors must be given as `inputs`".to_owned());
    }
}

fn gained<'m>(new: &Interface<'m>, told: &mut ReportedChanges<'m>) {
    if !told.any(is_input) {
        let names = features::names(new);
        let named = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
        told.harmless(Subject::Features, format!("rows{named} are taken now"));
    }
}

fn compare_columns<'m>(
    (old, before): (&Interface<'m>, &Layout),
    (new, now): (&Interface<'m>, &Layout),
    told: &mut ReportedChanges<'m>,
) {
    let (was, is) = (before.columns(), now.columns());
    let names_differ = features::compare_names(old, new, was != is, told);
    if was != is && !names_differ && !told.any_breaks(is_input) {
        let sentence = format!("rows have {is} values now, had {was}");
        told.breaks(Subject::Features, sentence);
    }
    features::compare_each(old, new, now, told);
    features::compare_missing((old, before), (new, now), told);
}
