//! Classes: the names of predictions and probabilities.

use super::{
    Interface, ReportedChanges, Subject,
    lists::{became, listed},
};
use crate::model::Output;

pub(super) fn compare<'m>(old: &Interface<'m>, new: &Interface<'m>, reported: &mut ReportedChanges<'m>) {
    let (before, now) = (old.class_keys(), new.class_keys());
    let labels = (old.labels(), new.labels());
    let sentence = match (before.as_slice(), now.as_slice()) {
        (before, now) if before == now && labels.0 == labels.1 => return,
        // The names stay, but tensors show the labels behind them.
        (before, now) if before == now => became("labels", &labels.0, &labels.1),
        ([], now) => format!("the classes have names now: {}", listed(now)),
        (before, []) => format!("the classes [{}] have no names any more", listed(before)),
        (before, now) => became("classes", before, now),
    };
    // Other classes often change the type of the label or the number of probabilities, which was reported already.
    let holds_classes = |output: &str| {
        let outputs = |interface: &Interface<'m>| {
            let roles = interface.layout.iter().flat_map(|layout| &layout.outputs);
            let mut named = interface.signature.outputs.iter().zip(roles);
            named.any(|(spec, role)| spec.name == output && *role != Output::Other)
        };
        outputs(old) || outputs(new)
    };
    let breaks = |subject| matches!(subject, Subject::Output(output) if holds_classes(output));
    if !(reported.any_breaks(breaks) && reported.follows(breaks, &sentence)) {
        reported.breaks(Subject::Classes, sentence);
    }
}
