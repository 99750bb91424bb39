//! Merging of a model's state that several gateways change: each writes its own changes and follows those of the
//! others.

use std::collections::BTreeSet;

use super::{Deployment, ModelDeployments};
use crate::model::Digest;

/// The part of a model's state that is compared with later ones. Proofs are long, so only their digests are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileSummary {
    serving: Option<Digest>,
    previous: Option<Digest>,
    /// The copies that the state refers to.
    pub(super) contents: Vec<Digest>,
    pub(super) rolled_back: BTreeSet<Digest>,
    pub(super) unloaded: bool,
}

impl FileSummary {
    /// Computes the gist of a state.
    pub(super) fn of(state: &ModelDeployments) -> Self {
        let digest = |deployments: &[Deployment]| {
            let text = serde_json::to_vec(deployments).unwrap_or_default();
            (!deployments.is_empty()).then(|| Digest::of(&text))
        };
        Self {
            serving: digest(&state.serving),
            previous: digest(&state.previous),
            contents: state.contents().collect(),
            rolled_back: state.rolled_back.clone(),
            unloaded: state.unloaded,
        }
    }
}

/// Changes by other gateways to the recorded state of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Files that were rolled back.
    pub taken_back: BTreeSet<Digest>,
    /// Files whose rollback was lifted.
    pub allowed: BTreeSet<Digest>,
    /// True if the model was unloaded by request, false if it may be loaded again. `None` if that did not change.
    pub unloaded: Option<bool>,
}

impl Followed {
    /// Compares two states of the file, the older first.
    pub(super) fn between(before: &FileSummary, now: &FileSummary) -> Self {
        Self {
            taken_back: &now.rolled_back - &before.rolled_back,
            allowed: &before.rolled_back - &now.rolled_back,
            unloaded: (before.unloaded != now.unloaded).then_some(now.unloaded),
        }
    }

    /// Returns true if nothing changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Applies these changes.
    pub fn apply(&self, rolled_back: &mut BTreeSet<Digest>, unloaded: &mut bool) {
        rolled_back.extend(&self.taken_back);
        rolled_back.retain(|digest| !self.allowed.contains(digest));
        *unloaded = self.unloaded.unwrap_or(*unloaded);
    }
}

/// Merges the state to write: `theirs`, with this process's own changes from `before` to `now`.
///
/// The serving versions are those of the gateway that changed them last: all see the same repository, and come to the
/// same result. Rollbacks are a set: each gateway adds to it, and a load request removes from it.
pub(super) fn merged(
    before: &FileSummary,
    now: &ModelDeployments,
    theirs: &ModelDeployments,
) -> ModelDeployments {
    let own = FileSummary::of(now);
    let mut merged = theirs.clone();
    Followed::between(before, &own).apply(&mut merged.rolled_back, &mut merged.unloaded);
    if before.serving != own.serving {
        merged.serving.clone_from(&now.serving);
    }
    if before.previous != own.previous {
        merged.previous.clone_from(&now.previous);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rolled_back: &[u8], unloaded: bool) -> ModelDeployments {
        let rolled_back = rolled_back.iter().map(|number| Digest::of(&[*number])).collect();
        ModelDeployments { rolled_back, unloaded, ..ModelDeployments::default() }
    }

    #[test]
    fn each_adds_and_removes_what_it_changed_and_keeps_what_others_did() {
        let before = state(&[1, 2], false);
        let gist = FileSummary::of(&before);
        let (own, theirs) = (state(&[2, 3], false), state(&[1, 2, 4], true));
        assert_eq!(merged(&gist, &own, &theirs), state(&[2, 3, 4], true));
        assert_eq!(merged(&gist, &before, &theirs), theirs, "nothing was changed here");
        assert_eq!(merged(&FileSummary::default(), &own, &theirs), state(&[1, 2, 3, 4], true));
    }

    #[test]
    fn what_others_changed_is_followed() {
        let gist = |rolled_back, unloaded| FileSummary::of(&state(rolled_back, unloaded));
        let followed = Followed::between(&gist(&[1, 2], true), &gist(&[2, 3], false));
        let mut own = state(&[1, 2, 5], true);
        followed.apply(&mut own.rolled_back, &mut own.unloaded);
        assert_eq!(own, state(&[2, 3, 5], false));
        assert!(!followed.is_nothing() && Followed::default().is_nothing());
    }
}
