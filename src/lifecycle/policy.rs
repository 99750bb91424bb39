//! The policy: a stateless, pure function from the desired, present and loaded versions of a model to its next action.
//!
//! Availability comes first, unless the settings preserve resources. A new version serves before the old one is
//! unloaded, and a version that cannot serve replaces nothing.

use std::{cmp::Reverse, collections::BTreeSet};

use super::model_config::Versions;
use crate::{config::Preserve, model::ModelVersion};

/// State of a version's file in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateState {
    /// Changed a moment ago, or truncated: the file may still be being written.
    Unsettled,
    /// Not tried yet.
    Untried,
    /// Being proven.
    Trying,
    /// Proven, not loaded.
    Proven,
    /// Refused, and unchanged since.
    Refused,
    /// Loaded under this version.
    Loaded,
}

impl CandidateState {
    /// Returns true if the state will still change by itself.
    #[must_use]
    pub fn is_in_progress(self) -> bool {
        matches!(self, Self::Unsettled | Self::Trying | Self::Proven)
    }
}

/// Desired state of a model.
#[derive(Clone, Copy, Debug)]
pub struct DesiredState<'w> {
    /// Versions that serve.
    pub versions: &'w Versions,
    /// Versions that labels point to: they serve too.
    pub labelled: &'w BTreeSet<ModelVersion>,
    /// The resource that a swap preserves.
    pub preserve: Preserve,
    /// True if the model was unloaded by request.
    pub unloaded: bool,
}

/// The next action for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Prove this version.
    Prove(ModelVersion),
    /// Put this proven version into service.
    Load(ModelVersion),
    /// Take this version out of service.
    Unload(ModelVersion),
}

/// Versions that should serve, as far as known, and the first action to get there.
#[derive(Default)]
struct Plan {
    /// Versions whose state was relevant.
    relevant: BTreeSet<ModelVersion>,
    wanted: BTreeSet<ModelVersion>,
    next: Option<Action>,
    /// True if a version in progress decides which others are superfluous.
    pending: bool,
}

/// Returns the next action for a model. `None` if there is nothing to do now.
///
/// `aspired` are the versions in the repository, `loaded` those in service; both in any order.
#[must_use]
pub fn next_action(
    wish: DesiredState,
    aspired: &[(ModelVersion, CandidateState)],
    loaded: &[ModelVersion],
) -> Option<Action> {
    if wish.unloaded {
        return loaded.first().copied().map(Action::Unload);
    }
    let plan = Plan::new(wish, aspired, loaded);
    let superfluous = || loaded.iter().copied().find(|version| !plan.wanted.contains(version));
    match plan.next {
        // A proven version is known to serve, so the one it replaces may be unloaded first.
        Some(Action::Load(version)) if wish.preserve == Preserve::Resources => {
            let replaced = loaded.contains(&version).then_some(version);
            Some(superfluous().or(replaced).map_or(Action::Load(version), Action::Unload))
        }
        Some(action) => Some(action),
        None if plan.pending => None,
        // No version can serve: those in service stay, unless all files were removed.
        None if plan.wanted.is_empty() && !aspired.is_empty() => None,
        None => superfluous().map(Action::Unload),
    }
}

/// Returns the versions whose state decides what serves; the state of all others is irrelevant.
#[must_use]
pub fn relevant(
    wish: DesiredState,
    aspired: &[(ModelVersion, CandidateState)],
    loaded: &[ModelVersion],
) -> BTreeSet<ModelVersion> {
    if wish.unloaded { BTreeSet::new() } else { Plan::new(wish, aspired, loaded).relevant }
}

impl Plan {
    fn new(wish: DesiredState, aspired: &[(ModelVersion, CandidateState)], loaded: &[ModelVersion]) -> Self {
        let mut newest_first = aspired.to_vec();
        newest_first.sort_by_key(|(version, _)| Reverse(*version));
        let mut plan = Self::default();
        match wish.versions {
            Versions::Latest => {
                for &(version, standing) in &newest_first {
                    if plan.consider(version, standing, loaded) {
                        break;
                    }
                }
            }
            Versions::Exactly(versions) => plan.consider_all(versions, &newest_first, loaded),
        }
        plan.consider_all(wish.labelled, &newest_first, loaded);
        plan
    }

    fn consider_all(
        &mut self,
        versions: &BTreeSet<ModelVersion>,
        aspired: &[(ModelVersion, CandidateState)],
        loaded: &[ModelVersion],
    ) {
        for &(version, standing) in aspired.iter().filter(|(version, _)| versions.contains(version)) {
            self.consider(version, standing, loaded);
        }
    }

    /// Adds a version to the plan. Returns true if it serves, or is about to.
    fn consider(&mut self, version: ModelVersion, standing: CandidateState, loaded: &[ModelVersion]) -> bool {
        self.relevant.insert(version);
        let first = |next: &mut Option<Action>, action| *next = next.or(Some(action));
        match standing {
            CandidateState::Untried => first(&mut self.next, Action::Prove(version)),
            // Loading goes before proving: it is short, and a client may wait for it.
            CandidateState::Proven if !matches!(self.next, Some(Action::Load(_))) => {
                self.next = Some(Action::Load(version));
            }
            CandidateState::Trying | CandidateState::Proven => {}
            CandidateState::Loaded => {
                self.wanted.insert(version);
                return true;
            }
            // The file was replaced by one that does not serve, at least not yet: the version loaded before stays.
            CandidateState::Refused | CandidateState::Unsettled => {
                let serves = loaded.contains(&version);
                if serves {
                    self.wanted.insert(version);
                }
                return serves;
            }
        }
        self.pending = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CandidateState::{Loaded, Proven, Refused, Trying, Unsettled, Untried};

    fn versions(numbers: &[u64]) -> BTreeSet<ModelVersion> {
        numbers.iter().copied().map(ModelVersion::new).collect()
    }

    struct Case {
        versions: Versions,
        labelled: BTreeSet<ModelVersion>,
        preserve: Preserve,
    }

    const LATEST: Case =
        Case { versions: Versions::Latest, labelled: BTreeSet::new(), preserve: Preserve::Availability };

    impl Case {
        fn next(&self, aspired: &[(u64, CandidateState)], loaded: &[u64]) -> Option<Action> {
            let wish = DesiredState {
                versions: &self.versions,
                labelled: &self.labelled,
                preserve: self.preserve,
                unloaded: false,
            };
            let aspired: Vec<_> =
                aspired.iter().map(|(number, standing)| (ModelVersion::new(*number), *standing)).collect();
            let loaded: Vec<_> = loaded.iter().copied().map(ModelVersion::new).collect();
            next_action(wish, &aspired, &loaded)
        }
    }

    fn prove(number: u64) -> Action {
        Action::Prove(ModelVersion::new(number))
    }

    fn load(number: u64) -> Action {
        Action::Load(ModelVersion::new(number))
    }

    fn unload(number: u64) -> Action {
        Action::Unload(ModelVersion::new(number))
    }

    #[test]
    fn the_newest_version_is_loaded_before_the_old_one_goes() {
        assert_eq!(LATEST.next(&[(1, Untried)], &[]), Some(prove(1)));
        assert_eq!(LATEST.next(&[(1, Trying)], &[]), None);
        assert_eq!(LATEST.next(&[(1, Proven)], &[]), Some(load(1)));
        assert_eq!(LATEST.next(&[(1, Loaded)], &[1]), None);
        assert_eq!(LATEST.next(&[(1, Loaded), (2, Untried)], &[1]), Some(prove(2)));
        assert_eq!(LATEST.next(&[(1, Loaded), (2, Trying)], &[1]), None);
        assert_eq!(LATEST.next(&[(1, Loaded), (2, Proven)], &[1]), Some(load(2)));
        assert_eq!(LATEST.next(&[(1, Loaded), (2, Loaded)], &[1, 2]), Some(unload(1)));
        assert_eq!(
            LATEST.next(&[(10, Untried), (9, Untried)], &[]),
            Some(prove(10)),
            "by number, not by text"
        );
    }

    #[test]
    fn a_file_in_place_of_another_is_a_swap_too() {
        assert_eq!(LATEST.next(&[(1, Untried)], &[1]), Some(prove(1)));
        assert_eq!(LATEST.next(&[(1, Trying)], &[1]), None);
        assert_eq!(LATEST.next(&[(1, Proven)], &[1]), Some(load(1)));
    }

    #[test]
    fn an_older_version_is_not_loaded_under_a_newer_one() {
        assert_eq!(LATEST.next(&[(1, Untried), (2, Loaded)], &[2]), None);
        assert_eq!(LATEST.next(&[(1, Untried), (2, Trying)], &[]), None);
    }

    #[test]
    fn a_version_that_is_refused_takes_nothing_out_of_service() {
        assert_eq!(LATEST.next(&[(1, Loaded), (2, Refused)], &[1]), None);
        assert_eq!(LATEST.next(&[(1, Untried), (2, Refused)], &[]), Some(prove(1)));
        assert_eq!(LATEST.next(&[(1, Refused)], &[1]), None, "overwritten by a broken file");
        assert_eq!(LATEST.next(&[(2, Refused)], &[1]), None, "the only one left is broken");
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        assert_eq!(LATEST.next(&[(1, Unsettled)], &[]), None);
        assert_eq!(LATEST.next(&[(1, Unsettled)], &[1]), None);
        assert_eq!(LATEST.next(&[(1, Loaded), (2, Unsettled)], &[1]), None);
    }

    #[test]
    fn a_version_that_was_removed_makes_way_for_the_one_before() {
        assert_eq!(LATEST.next(&[(1, Untried)], &[2]), Some(prove(1)));
        assert_eq!(LATEST.next(&[(1, Proven)], &[2]), Some(load(1)));
        assert_eq!(LATEST.next(&[(1, Loaded)], &[1, 2]), Some(unload(2)));
        assert_eq!(LATEST.next(&[], &[2]), Some(unload(2)));
    }

    #[test]
    fn pinned_and_listed_versions_serve_and_no_others() {
        let pinned = Case { versions: Versions::Exactly(versions(&[1])), ..LATEST };
        assert_eq!(pinned.next(&[(1, Untried), (2, Untried)], &[]), Some(prove(1)));
        assert_eq!(pinned.next(&[(1, Untried), (2, Loaded)], &[2]), Some(prove(1)));
        assert_eq!(pinned.next(&[(1, Loaded), (2, Loaded)], &[1, 2]), Some(unload(2)));
        assert_eq!(pinned.next(&[(1, Refused), (2, Loaded)], &[2]), None, "nothing better is there");
        assert_eq!(pinned.next(&[(2, Loaded)], &[2]), None, "the pinned one has not come yet");
        let listed = Case { versions: Versions::Exactly(versions(&[1, 3])), ..LATEST };
        assert_eq!(listed.next(&[(1, Untried), (2, Untried), (3, Untried)], &[]), Some(prove(3)));
        assert_eq!(listed.next(&[(1, Proven), (3, Untried)], &[]), Some(load(1)), "loading goes first");
        assert_eq!(listed.next(&[(1, Loaded), (3, Loaded)], &[1, 3]), None);
        assert_eq!(listed.next(&[(1, Loaded), (3, Untried), (4, Loaded)], &[1, 4]), Some(prove(3)));
    }

    #[test]
    fn what_a_label_points_to_serves_too() {
        let labelled = Case { labelled: versions(&[1]), ..LATEST };
        assert_eq!(labelled.next(&[(1, Loaded), (2, Loaded)], &[1, 2]), None);
        assert_eq!(labelled.next(&[(1, Untried), (2, Loaded)], &[2]), Some(prove(1)));
        assert_eq!(labelled.next(&[(1, Untried), (2, Trying)], &[]), Some(prove(1)));
        let canary = Case { versions: Versions::Exactly(versions(&[1])), labelled: versions(&[2]), ..LATEST };
        assert_eq!(canary.next(&[(1, Loaded), (2, Proven), (3, Untried)], &[1]), Some(load(2)));
    }

    #[test]
    fn a_proven_version_takes_the_place_of_the_old_one_to_save_resources() {
        let scarce = Case { preserve: Preserve::Resources, ..LATEST };
        assert_eq!(scarce.next(&[(1, Loaded), (2, Untried)], &[1]), Some(prove(2)));
        assert_eq!(scarce.next(&[(1, Loaded), (2, Proven)], &[1]), Some(unload(1)));
        assert_eq!(scarce.next(&[(1, Untried), (2, Proven)], &[]), Some(load(2)));
        assert_eq!(scarce.next(&[(1, Proven)], &[1]), Some(unload(1)), "in place");
    }

    #[test]
    fn only_versions_that_decide_are_considered() {
        let relevant = |versions: &Versions, aspired: &[(u64, CandidateState)]| {
            let aspired: Vec<_> =
                aspired.iter().map(|(number, standing)| (ModelVersion::new(*number), *standing)).collect();
            let (labelled, preserve) = (&BTreeSet::new(), Preserve::Availability);
            relevant(DesiredState { versions, labelled, preserve, unloaded: false }, &aspired, &[])
        };
        let latest = |aspired: &[(u64, CandidateState)]| relevant(&Versions::Latest, aspired);
        assert_eq!(latest(&[(1, Proven), (2, Trying)]), versions(&[2]));
        assert_eq!(latest(&[(1, Proven), (2, Refused), (3, Unsettled)]), versions(&[1, 2, 3]));
        let listed = Versions::Exactly(versions(&[1]));
        assert_eq!(relevant(&listed, &[(1, Trying), (2, Untried)]), versions(&[1]));
    }

    #[test]
    fn what_was_unloaded_by_request_stays_away() {
        let wish = DesiredState {
            versions: &Versions::Latest,
            labelled: &BTreeSet::new(),
            preserve: Preserve::Availability,
            unloaded: true,
        };
        let one = ModelVersion::new(1);
        assert_eq!(next_action(wish, &[(one, Loaded)], &[one]), Some(unload(1)));
        assert_eq!(next_action(wish, &[(one, Untried)], &[]), None);
    }
}
