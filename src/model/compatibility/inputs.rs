//! Inputs: names, types, shapes, and whether they are required.

use std::collections::HashMap;

use super::{
    Interface, ReportedChanges, Subject,
    kinds::{Fit, takes},
    lists::became,
    pairs::Pairs,
};
use crate::model::{Dimension, Signature, ValueSpec};

pub(super) fn compare<'m>(old: &Interface<'m>, new: &Interface<'m>, reported: &mut ReportedChanges<'m>) {
    let pairs = Pairs::of(&old.signature.inputs, &new.signature.inputs);
    let narrowed = tied(old.signature, new.signature);
    for (before, now) in &pairs.kept {
        let subject = Subject::Input(&now.name);
        let ValueSpec { name, kind: was } = before;
        if *name != now.name {
            reported.breaks(subject, format!("input `{name}` ({was}) is called `{}` now", now.name));
            continue;
        }
        let sentence = format!("input `{name}` was {was} and is now {}", now.kind);
        match (takes(was, &now.kind), narrowed.get(name.as_str())) {
            (Fit::Breaks, _) => reported.breaks(subject, sentence),
            (_, Some(symbol)) => {
                reported.breaks(subject, format!("{sentence}: dimensions called `{symbol}` must be equal"));
            }
            (Fit::Harmless, None) => reported.harmless(subject, sentence),
            (Fit::Same, None) => {}
        }
    }
    for ValueSpec { name, kind } in pairs.gone {
        reported.breaks(Subject::Input(name), format!("input `{name}` ({kind}) is gone"));
    }
    for spec @ ValueSpec { name, kind } in pairs.added {
        let subject = Subject::Input(name);
        if !spec.is_optional() {
            reported.breaks(subject, format!("input `{name}` ({kind}) is new and must be given"));
        } else if let [only] = old.signature.inputs.as_slice() {
            // Rows, and tensors without a name, need a model of one input.
            let sentence = format!("input `{name}` ({kind}) is new: `{}` must be named now", only.name);
            reported.breaks(subject, sentence);
        } else {
            reported.harmless(subject, format!("input `{name}` ({kind}) is new and may be left out"));
        }
    }
}

/// Compares the order of inputs. Requests name their inputs, so it matters only as the order of the features, which is
/// reported there.
pub(super) fn compare_order<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    reported: &mut ReportedChanges<'m>,
) {
    let pairs = Pairs::of(&old.signature.inputs, &new.signature.inputs);
    if pairs.is_reordered && !reported.any(|subject| subject == Subject::Features) {
        let (before, now) = pairs.orders(&new.signature.inputs);
        reported.harmless(Subject::Other, became("inputs", &before, &now));
    }
}

/// Finds the inputs with a dimension that must now equal an earlier one, but did not need to before. Each has the name
/// of that dimension, as dimensions of one name are equal.
fn tied<'m>(old: &'m Signature, new: &'m Signature) -> HashMap<&'m str, &'m str> {
    let mut first: HashMap<&str, Option<&Dimension>> = HashMap::new();
    let mut tied = HashMap::new();
    for now in &new.inputs {
        let Some((_, shape)) = now.as_tensor() else { continue };
        let Some((_, before)) = old.input(&now.name).and_then(ValueSpec::as_tensor) else { continue };
        for (axis, dimension) in shape.iter().enumerate() {
            let Some(symbol) = dimension.symbol() else { continue };
            let earlier = *first.entry(symbol).or_insert(before.get(axis));
            let was_tied = match (earlier, before.get(axis)) {
                (Some(Dimension::Fixed(one)), Some(Dimension::Fixed(two))) => one == two,
                (Some(one), Some(two)) => {
                    std::ptr::eq(one, two) || (one.symbol().is_some() && one.symbol() == two.symbol())
                }
                // A shape of another length is reported as such.
                _ => true,
            };
            if !was_tied {
                tied.insert(now.name.as_str(), symbol);
            }
        }
    }
    tied
}
