//! Features: their names, ranges, units, and replacements of missing values.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    Interface, ReportedChanges, Subject,
    lists::{became, listed},
    reported_changes::is_input,
};
use crate::model::{Cell, ElementType, Feature, Layout, RowInputs};

pub(super) fn names<'m>(interface: &Interface<'m>) -> Vec<&'m str> {
    interface.contract.features.iter().map(|feature| feature.name.as_str()).collect()
}

/// Returns the input that holds the only column of rows; `None` if rows have several columns.
fn only_column<'m>(interface: &Interface<'m>) -> Option<&'m str> {
    let layout = interface.layout.as_ref().filter(|layout| layout.columns() == 1)?;
    let (input, _) = layout.place(0)?;
    interface.signature.input(input).map(|spec| spec.name.as_str())
}

/// Compares the names of the features. Returns true if it reported a difference that breaks callers.
pub(super) fn compare_names<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    columns_differ: bool,
    reported: &mut ReportedChanges<'m>,
) -> bool {
    let (mut before, mut now) = (names(old), names(new));
    // The only column of a model has the name of its input, unless a feature names it.
    if let ([], [_], Some(column)) = (before.as_slice(), now.as_slice(), only_column(old)) {
        before = vec![column];
    }
    if let ([_], [], Some(column)) = (before.as_slice(), now.as_slice(), only_column(new)) {
        now = vec![column];
    }
    if are_inputs(old) && are_inputs(new) {
        // Renamed, removed and new ones are reported as inputs.
        let (were, are) = (before.clone(), now.clone());
        before.retain(|name| are.contains(name));
        now.retain(|name| were.contains(name));
    }
    if before == now {
        return false;
    }
    if before.is_empty() {
        if !columns_differ {
            reported.harmless(Subject::Features, format!("the features have names now: {}", listed(&now)));
        }
        return false;
    }
    let sentence = if now.is_empty() {
        format!("the features [{}] have no names any more", listed(&before))
    } else {
        became("features", &before, &now)
    };
    if !(columns_differ && reported.any_breaks(is_input) && reported.follows(is_input, &sentence)) {
        reported.breaks(Subject::Features, sentence);
    }
    true
}

/// Compares the range and the unit of each feature. A feature that is new or lost its name is reported by
/// `compare_names`.
pub(super) fn compare_each<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    layout: &Layout,
    reported: &mut ReportedChanges<'m>,
) {
    for (column, now) in new.contract.features.iter().enumerate() {
        let before = if old.contract.features.is_empty() {
            Some(unnamed(old, layout, column))
        } else {
            counterpart(old, new, column).and_then(|before| old.contract.features.get(before).cloned())
        };
        if let Some(before) = before {
            compare_range(&before, now, layout.element_type(column), reported);
            compare_unit(&before, now, reported);
        }
    }
}

/// Returns a feature without a name, for a column that has none: only the range in the graph is known.
fn unnamed(interface: &Interface<'_>, layout: &Layout, column: usize) -> Feature {
    let facts =
        layout.place(column).and_then(|(input, place)| interface.contract.graph.columns.get(input, place));
    let range = facts.and_then(|facts| facts.range);
    #[expect(clippy::cast_precision_loss, reason = "tables of more rows than 2^53 do not exist")]
    let bound = |bound: i64| bound as f64;
    let (minimum, maximum) = (range.map(|range| bound(range.0)), range.map(|range| bound(range.1)));
    Feature { minimum, maximum, ..Feature::new("") }
}

/// Compares the replacements of missing values. A value that is accepted where it was refused breaks no caller; one
/// that is refused, or replaced by another, does.
pub(super) fn compare_missing<'m>(
    (old, before): (&Interface<'m>, &Layout),
    (new, now): (&Interface<'m>, &Layout),
    reported: &mut ReportedChanges<'m>,
) {
    if !before.fills_any() && !now.fills_any() {
        return;
    }
    // Most models have one rule for all of their columns.
    let mut by_rule: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for column in 0..now.columns() {
        let Some(was) = counterpart(old, new, column).filter(|was| *was < before.columns()) else { continue };
        let (was, is) = (before.fill(was), now.fill(column));
        if !is_same_fill(was, is) {
            let feature = new.contract.features.get(column);
            let name = feature.map_or_else(|| format!("column {column}"), |feature| feature.name.clone());
            by_rule.entry((rule(was), rule(is))).or_default().push(name);
        }
    }
    for ((was, is), columns) in by_rule {
        let columns = match columns.as_slice() {
            [only] => format!("`{only}`"),
            several => format!("[{}]", listed(several)),
        };
        let sentence = format!("a missing value of {columns} is {is}, was {was}");
        if was == REFUSED {
            reported.harmless(Subject::Other, sentence);
        } else {
            reported.breaks(Subject::Other, sentence);
        }
    }
}

/// Finds the column of the old model that callers use as this column of the new one. It is the feature of the same
/// name. Without names, or if that name is gone too, it is the column at the same position.
fn counterpart(old: &Interface<'_>, new: &Interface<'_>, column: usize) -> Option<usize> {
    let (before, now) = (&old.contract.features, &new.contract.features);
    if before.is_empty() || now.is_empty() {
        return Some(column);
    }
    let is_abandoned = |name: &str| new.contract.column(name).is_none();
    let same = old.contract.column(&now.get(column)?.name);
    same.or_else(|| before.get(column).filter(|before| is_abandoned(&before.name)).map(|_| column))
}

fn compare_range(
    before: &Feature,
    now: &Feature,
    element_type: Option<ElementType>,
    reported: &mut ReportedChanges<'_>,
) {
    // Only numbers have a range.
    if matches!(element_type, Some(ElementType::String | ElementType::Bool)) {
        return;
    }
    let bound = |bound: Option<f64>, none: f64| bound.filter(|bound| !bound.is_nan()).unwrap_or(none);
    let lowest = |feature: &Feature| bound(feature.minimum, f64::NEG_INFINITY);
    let highest = |feature: &Feature| bound(feature.maximum, f64::INFINITY);
    let low = lowest(now).partial_cmp(&lowest(before)).unwrap_or(Ordering::Equal);
    let high = highest(now).partial_cmp(&highest(before)).unwrap_or(Ordering::Equal);
    if low.is_eq() && high.is_eq() {
        return;
    }
    let sentence = format!("the feature `{}` may be {}, was {}", now.name, range(now), range(before));
    if low.is_gt() || high.is_lt() {
        reported.breaks(Subject::Other, sentence);
    } else {
        reported.harmless(Subject::Other, sentence);
    }
}

fn range(feature: &Feature) -> String {
    match (feature.minimum, feature.maximum) {
        (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
        (Some(minimum), None) => format!("at least {minimum}"),
        (None, Some(maximum)) => format!("at most {maximum}"),
        (None, None) => "any number".to_owned(),
    }
}

/// Compares units. Another unit changes the meaning of a number; one that is added or removed only changes the
/// documentation.
fn compare_unit(before: &Feature, now: &Feature, reported: &mut ReportedChanges<'_>) {
    let name = &now.name;
    match (&before.unit, &now.unit) {
        (Some(was), Some(is)) if was != is => {
            reported.breaks(Subject::Other, format!("the feature `{name}` is in {is}, was in {was}"));
        }
        (None, Some(is)) => {
            reported.harmless(Subject::Other, format!("the feature `{name}` is said to be in {is}"));
        }
        (Some(was), None) => {
            reported.harmless(
                Subject::Other,
                format!("the feature `{name}` is not said to be in {was} any more"),
            );
        }
        _ => {}
    }
}

/// The rule for a missing value without a replacement.
const REFUSED: &str = "refused";

fn rule(fill: Option<&Cell>) -> String {
    match fill {
        None => REFUSED.to_owned(),
        Some(Cell::Float(value)) if value.is_nan() => "taken as NaN".to_owned(),
        Some(Cell::Integer(value)) => format!("taken as {value}"),
        Some(Cell::Float(value)) => format!("taken as {value}"),
        Some(Cell::Bool(value)) => format!("taken as {value}"),
        Some(Cell::Text(value)) => format!("taken as the text `{value}`"),
        Some(Cell::Null | Cell::Misplaced(_)) => "taken".to_owned(),
    }
}

fn is_same_fill(was: Option<&Cell>, is: Option<&Cell>) -> bool {
    match (was, is) {
        (Some(was), Some(is)) => was == is || rule(Some(was)) == rule(Some(is)),
        (was, is) => was.is_none() && is.is_none(),
    }
}

/// Returns true if the features are the inputs by name: each input takes one value of a row.
fn are_inputs(interface: &Interface<'_>) -> bool {
    match interface.layout.as_ref().map(|layout| &layout.inputs) {
        Some(RowInputs::Columns(_)) => true,
        Some(RowInputs::Matrix { input, .. }) => names(interface) == [input.as_str()],
        None => false,
    }
}
