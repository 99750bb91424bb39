//! Values that the graph itself refuses: those that a closed encoder does not list, and ids beyond a table.

use std::collections::{BTreeMap, BTreeSet};

use super::{Interface, ReportedChanges, Subject, lists::listed};
use crate::model::{ColumnFacts, Elements};

/// One column of an input, or `None` for all of them.
type Place<'m> = (&'m str, Option<usize>);

pub(super) fn compare<'m>(old: &Interface<'m>, new: &Interface<'m>, reported: &mut ReportedChanges<'m>) {
    let known = |interface: &Interface<'m>| interface.contract.graph.columns.iter();
    let places: BTreeSet<Place<'m>> =
        known(old).chain(known(new)).map(|(input, column, _)| (input, column)).collect();
    // An encoder or a table often reads many columns: one rule for all of them is one difference.
    let mut by_rule: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    for (input, column) in places {
        if old.signature.input(input).is_none() || new.signature.input(input).is_none() {
            continue;
        }
        let (before, now) = (facts(old, (input, column)), facts(new, (input, column)));
        let mut rules = vec![categories(before.and_then(closed), now.and_then(closed))];
        // The range of a feature includes it, and is reported there.
        if old.contract.features.is_empty() && new.contract.features.is_empty() {
            rules.push(range(before.and_then(|facts| facts.range), now.and_then(|facts| facts.range)));
        }
        for rule in rules.into_iter().flatten() {
            by_rule.entry(rule).or_default().push(name(new, (input, column)));
        }
    }
    for ((breaks, rule), columns) in by_rule {
        let sentence = match columns.as_slice() {
            [only] => format!("`{only}` {rule}"),
            several => format!("[{}] {rule}", listed(several)),
        };
        if breaks {
            reported.breaks(Subject::Other, sentence);
        } else {
            reported.harmless(Subject::Other, sentence);
        }
    }
}

fn facts<'m>(interface: &Interface<'m>, (input, column): Place<'_>) -> Option<&'m ColumnFacts> {
    let known = &interface.contract.graph.columns;
    match column {
        Some(column) => known.get(input, column),
        None => known.iter().find(|(name, of, _)| *name == input && of.is_none()).map(|(_, _, facts)| facts),
    }
}

/// Returns the only accepted values; `None` if others are accepted too.
fn closed(facts: &ColumnFacts) -> Option<BTreeSet<String>> {
    let categories = facts.categories.as_ref().filter(|_| facts.is_closed)?;
    Some(match categories {
        Elements::Texts(texts) => texts.iter().cloned().collect(),
        Elements::Integers(numbers) => numbers.iter().map(ToString::to_string).collect(),
        Elements::Numbers(numbers) => numbers.iter().map(ToString::to_string).collect(),
    })
}

/// Describes the difference between the accepted values. The flag is true if it breaks callers; `None` if there is
/// none.
fn categories(before: Option<BTreeSet<String>>, now: Option<BTreeSet<String>>) -> Option<(bool, String)> {
    let all = |values: &BTreeSet<String>| listed(&values.iter().collect::<Vec<_>>());
    let beyond = |values: &BTreeSet<String>, others: &BTreeSet<String>| {
        listed(&values.difference(others).collect::<Vec<_>>())
    };
    match (before, now) {
        (None, None) => None,
        (None, Some(now)) => Some((true, format!("may only be one of [{}] now", all(&now)))),
        (Some(before), None) => Some((false, format!("may be anything, was one of [{}]", all(&before)))),
        (Some(before), Some(now)) if before == now => None,
        (Some(before), Some(now)) if before.is_subset(&now) => {
            Some((false, format!("may be [{}] too", beyond(&now, &before))))
        }
        (Some(before), Some(now)) => Some((true, format!("may not be [{}] any more", beyond(&before, &now)))),
    }
}

fn range(before: Option<(i64, i64)>, now: Option<(i64, i64)>) -> Option<(bool, String)> {
    let shown = |range: Option<(i64, i64)>| {
        range.map_or("any number".to_owned(), |(least, most)| format!("{least} to {most}"))
    };
    let (least, most) = now.unwrap_or((i64::MIN, i64::MAX));
    let (was_least, was_most) = before.unwrap_or((i64::MIN, i64::MAX));
    let breaks = least > was_least || most < was_most;
    (before != now).then(|| (breaks, format!("may be {}, was {}", shown(now), shown(before))))
}

/// Returns the name of a column's feature, or else its input and position.
fn name(interface: &Interface<'_>, (input, column): Place<'_>) -> String {
    let layout = interface.layout.as_ref();
    let place = column.unwrap_or(0);
    let names = &interface.contract.features;
    let feature = layout.and_then(|layout| {
        let meant = |index: &usize| layout.place(*index) == Some((input, place));
        (0..names.len()).find(meant).and_then(|index| names.get(index))
    });
    let is_only = layout.is_some_and(|layout| layout.columns() == 1);
    match (feature, column) {
        (Some(feature), _) => feature.name.clone(),
        (None, Some(column)) if !is_only => format!("{input}/{column}"),
        _ => input.to_owned(),
    }
}
