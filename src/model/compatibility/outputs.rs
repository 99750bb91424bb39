//! Outputs: names, types, columns, order, and the role of each in a native response.

use super::{
    Interface, ReportedChanges, Subject,
    kinds::{Fit, reads_as},
    lists::became,
    pairs::Pairs,
};
use crate::model::{Output, Signature, ValueKind, ValueSpec};

pub(super) fn compare<'m>(old: &Interface<'m>, new: &Interface<'m>, reported: &mut ReportedChanges<'m>) {
    let pairs = Pairs::of(&old.signature.outputs, &new.signature.outputs);
    let answers_rows = old.layout.is_some() && new.layout.is_some();
    for (before, now) in &pairs.kept {
        let subject = Subject::Output(&now.name);
        let ValueSpec { name, kind: was } = before;
        if *name != now.name {
            let sentence = format!("output `{name}` ({was}) is called `{}` now", now.name);
            reported.breaks(Subject::OutputNames, sentence);
            continue;
        }
        let sentence = || format!("output `{name}` was {was} and is now {}", now.kind);
        // An output that is the same for all rows is returned whole, so its own dimensions count.
        let is_whole = answers_rows && is_constant(old, name) && is_constant(new, name);
        match reads_as(was, &now.kind, answers_rows && !is_whole) {
            Fit::Same => {}
            Fit::Harmless => reported.harmless(subject, sentence()),
            Fit::Breaks => reported.breaks(subject, sentence()),
        }
    }
    for ValueSpec { name, kind } in &pairs.gone {
        reported.breaks(Subject::OutputNames, format!("output `{name}` ({kind}) is gone"));
    }
    for ValueSpec { name, kind } in &pairs.added {
        reported.breaks(Subject::OutputNames, format!("output `{name}` ({kind}) is new"));
    }
    // Responses of the Open Inference Protocol and gRPC have this order, and the first output may be the prediction.
    if pairs.is_reordered {
        let (before, now) = pairs.orders(&new.signature.outputs);
        reported.breaks(Subject::OutputNames, became("outputs", &before, &now));
    }
}

/// Returns true if an output is the same for all rows.
fn is_constant(interface: &Interface<'_>, name: &str) -> bool {
    let role = interface.signature.output_position(name);
    let roles = interface.layout.as_ref().map(|layout| &layout.outputs);
    role.and_then(|place| roles?.get(place)) == Some(&Output::Constant)
}

/// Compares the outputs that are `prediction` and `probabilities` in responses to rows, unless the difference follows
/// from one that was reported.
pub(super) fn compare_roles<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    reported: &mut ReportedChanges<'m>,
) {
    let (Some(before), Some(now)) = (&old.layout, &new.layout) else { return };
    for (spec, role) in old.signature.outputs.iter().zip(&before.outputs) {
        let Some(place) = new.signature.output_position(&spec.name) else { continue };
        let was = *role == Output::Constant;
        let is = now.outputs.get(place) == Some(&Output::Constant);
        if was != is {
            let how = if is { "is the same for all rows now" } else { "is by row now, was the same for all" };
            reported.breaks(Subject::Output(&spec.name), format!("the output `{}` {how}", spec.name));
        }
    }
    let explains = |subject| matches!(subject, Subject::Output(_) | Subject::OutputNames | Subject::Classes);
    if reported.any_breaks(explains) {
        return;
    }
    for (role, key) in [(Output::Prediction, "prediction"), (Output::Probabilities, "probabilities")] {
        let was = of_role(old.signature, &before.outputs, role);
        let is = of_role(new.signature, &now.outputs, role);
        let (sentence, about) = match (was, is) {
            (was, is) if was == is => continue,
            (Some(was), Some(is)) => (format!("the output `{is}` is `{key}`, which was `{was}`"), is),
            (Some(was), None) => (format!("the output `{was}` is not `{key}` any more"), was),
            (None, Some(is)) => (format!("the output `{is}` is `{key}` now"), is),
            (None, None) => continue,
        };
        if !reported.follows(|subject| subject == Subject::Output(about), &sentence) {
            reported.breaks(Subject::Output(about), sentence);
        }
    }
}

/// Compares the treatment of NaN and infinity, which only floats hold.
pub(super) fn compare_non_finite<'m>(
    old: &Interface<'m>,
    new: &Interface<'m>,
    reported: &mut ReportedChanges<'m>,
) {
    let sentence = match (old.contract.allows_non_finite(), new.contract.allows_non_finite()) {
        // Strings replace numbers, and an error becomes a valid response.
        (false, true) => "NaN and infinity are returned, were an error",
        (true, false) => "NaN and infinity are an error, were returned",
        _ => return,
    };
    if new.signature.outputs.iter().any(|output| holds_floats(&output.kind)) {
        reported.breaks(Subject::Other, sentence.to_owned());
    }
}

fn of_role<'m>(signature: &'m Signature, roles: &[Output], role: Output) -> Option<&'m str> {
    let named = signature.outputs.iter().zip(roles).find(|(_, known)| **known == role);
    named.map(|(output, _)| output.name.as_str())
}

fn holds_floats(kind: &ValueKind) -> bool {
    match kind {
        ValueKind::Tensor { element_type, .. } => element_type.is_float(),
        ValueKind::Map { value, .. } => value.is_float(),
        ValueKind::Sequence(inner) | ValueKind::Optional(inner) => holds_floats(inner),
    }
}
