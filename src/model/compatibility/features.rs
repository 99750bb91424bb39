//! Features: their names, ranges, units, and what stands in for a missing value.

use std::cmp::Ordering;

use super::{
    Interface, Subject, Told,
    lists::{became, listed},
    rows::is_input,
};
use crate::model::{ElementType, Feature, Layout, Missing, RowInputs};

pub(super) fn names<'m>(interface: &Interface<'m>) -> Vec<&'m str> {
    interface.contract.features.iter().map(|feature| feature.name.as_str()).collect()
}

/// Compares the names of the features; returns true if a difference of them that breaks callers was told.
pub(super) fn compare_names<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    columns_differ: bool,
    told: &mut Told<'m>,
) -> bool {
    let (mut before, mut now) = (names(old), names(new));
    if are_inputs(old) && are_inputs(new) {
        // What was renamed, what is gone and what is new is told of the inputs.
        let (were, are) = (before.clone(), now.clone());
        before.retain(|name| are.contains(name));
        now.retain(|name| were.contains(name));
    }
    if before == now {
        return false;
    }
    if before.is_empty() {
        if !columns_differ {
            told.harmless(Subject::Features, format!("the features have names now: {}", listed(&now)));
        }
        return false;
    }
    let sentence = if now.is_empty() {
        format!("the features [{}] have no names any more", listed(&before))
    } else {
        became("features", &before, &now)
    };
    if !(columns_differ && told.any_breaks(is_input) && told.follows(is_input, &sentence)) {
        told.breaks(Subject::Features, sentence);
    }
    true
}

/// Compares what is said of each feature. A feature that is new, or has no name any more, is told of as such.
pub(super) fn compare_each<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    layout: &Layout,
    told: &mut Told<'m>,
) {
    let unnamed = Feature::new("");
    for (column, now) in new.contract.features.iter().enumerate() {
        if let Some(before) = counterpart(old, new, column, &unnamed) {
            compare_range(before, now, layout.element_type(column), told);
            compare_unit(before, now, told);
            compare_missing(before, now, told);
        }
    }
}

/// The feature of the old model that callers take for that of a column: that of the same name, or that at the same place
/// if its name, too, is gone.
fn counterpart<'f>(
    old: &Interface<'f>,
    new: &Interface<'_>,
    column: usize,
    unnamed: &'f Feature,
) -> Option<&'f Feature> {
    let features = &old.contract.features;
    if features.is_empty() {
        return Some(unnamed);
    }
    let name = &new.contract.features.get(column)?.name;
    let is_gone = |before: &&Feature| new.contract.column(&before.name).is_none();
    let same = features.iter().find(|before| before.name == *name);
    same.or_else(|| features.get(column).filter(is_gone))
}

fn compare_range(before: &Feature, now: &Feature, element_type: Option<ElementType>, told: &mut Told<'_>) {
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
        told.breaks(Subject::Other, sentence);
    } else {
        told.harmless(Subject::Other, sentence);
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

/// Another unit gives the same number another meaning; one that appears or vanishes only says more or less of it.
fn compare_unit(before: &Feature, now: &Feature, told: &mut Told<'_>) {
    let name = &now.name;
    match (&before.unit, &now.unit) {
        (Some(was), Some(is)) if was != is => {
            told.breaks(Subject::Other, format!("the feature `{name}` is in {is}, was in {was}"));
        }
        (None, Some(is)) => {
            told.harmless(Subject::Other, format!("the feature `{name}` is said to be in {is}"))
        }
        (Some(was), None) => {
            told.harmless(
                Subject::Other,
                format!("the feature `{name}` is not said to be in {was} any more"),
            );
        }
        _ => {}
    }
}

/// A missing value that is taken where it was refused breaks no caller; one that is refused, or taken for something else,
/// does.
fn compare_missing(before: &Feature, now: &Feature, told: &mut Told<'_>) {
    if is_same_policy(&before.missing, &now.missing) {
        return;
    }
    let policy = |feature: &Feature| match &feature.missing {
        Missing::Refuse => "refused".to_owned(),
        Missing::Nan => "taken as NaN".to_owned(),
        Missing::Default(value) => format!("taken as {value}"),
    };
    let name = &now.name;
    let sentence =
        format!("a missing value of the feature `{name}` is {}, was {}", policy(now), policy(before));
    if before.missing == Missing::Refuse {
        told.harmless(Subject::Other, sentence);
    } else {
        told.breaks(Subject::Other, sentence);
    }
}

fn is_same_policy(before: &Missing, now: &Missing) -> bool {
    match (before, now) {
        // 3 and 3.0 are the same number.
        (Missing::Default(before), Missing::Default(now)) => {
            before == now || before.as_f64().is_some_and(|before| now.as_f64() == Some(before))
        }
        (before, now) => before == now,
    }
}

/// Whether the features are the inputs by name: each takes one value of a row.
fn are_inputs(interface: &Interface<'_>) -> bool {
    match interface.layout.as_ref().map(|layout| &layout.inputs) {
        Some(RowInputs::Columns(_)) => true,
        Some(RowInputs::Matrix { input, .. }) => names(interface) == [input.as_str()],
        None => false,
    }
}
