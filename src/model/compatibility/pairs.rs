//! Matching of the inputs or outputs of two models.

use super::kinds::{Fit, same_form};
use crate::model::ValueSpec;

/// The inputs or outputs of two models, each with its counterpart.
pub(super) struct Pairs<'m> {
    /// Values that both have, in the order of the old model; their names differ where one was renamed.
    pub(super) kept: Vec<(&'m ValueSpec, &'m ValueSpec)>,
    /// Values that only the old model has.
    pub(super) gone: Vec<&'m ValueSpec>,
    /// Values that only the new model has.
    pub(super) added: Vec<&'m ValueSpec>,
    /// True if those that both have are in another order.
    pub(super) is_reordered: bool,
}

impl<'m> Pairs<'m> {
    /// Finds counterparts by name. A value of the same form at the same position was renamed if the other model does
    /// not have its name.
    pub(super) fn of(old: &'m [ValueSpec], new: &'m [ValueSpec]) -> Self {
        let place = |specs: &[ValueSpec], name: &str| specs.iter().position(|spec| spec.name == name);
        let counterpart = |index: usize, before: &ValueSpec| {
            let renamed = |now: &&ValueSpec| {
                place(old, &now.name).is_none() && same_form(&before.kind, &now.kind) == Fit::Same
            };
            place(new, &before.name).or_else(|| new.get(index).filter(renamed).map(|_| index))
        };
        let (mut kept, mut gone, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (index, before) in old.iter().enumerate() {
            match counterpart(index, before) {
                Some(place) => {
                    kept.push((before, &new[place]));
                    places.push(place);
                }
                None => gone.push(before),
            }
        }
        let added = new.iter().enumerate().filter(|(place, _)| !places.contains(place));
        Self { added: added.map(|(_, spec)| spec).collect(), kept, gone, is_reordered: !places.is_sorted() }
    }

    /// Returns the old names of the values that both models have, in the order of the old model and in that of `new`.
    pub(super) fn orders(&self, new: &[ValueSpec]) -> (Vec<&'m str>, Vec<&'m str>) {
        let old_name = |spec: &ValueSpec| {
            self.kept.iter().find(|(_, now)| now.name == spec.name).map(|(before, _)| before.name.as_str())
        };
        let before = self.kept.iter().map(|(before, _)| before.name.as_str());
        (before.collect(), new.iter().filter_map(old_name).collect())
    }
}
