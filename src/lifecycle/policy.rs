//! What to do next with one model: a pure function of what lies in the repository and what is loaded.
//!
//! The newest version that can serve does. Availability first: a new version is in service before the old one goes,
//! and a version that cannot serve takes nothing out of service.

use crate::model::ModelVersion;

/// What is known of the file of a version that lies in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It changed a moment ago and may still be being written.
    Unsettled,
    /// Nobody has tried it.
    Untried,
    /// It was refused, and has not changed since.
    Refused,
    /// It is what is loaded under this version.
    Loaded,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Try this version, and put it into service if it is admitted.
    Load(ModelVersion),
    /// Take this version out of service.
    Unload(ModelVersion),
}

/// The next step for one model, or nothing to do.
///
/// `aspired` are the versions in the repository, `loaded` those in service; both in any order.
#[must_use]
pub fn next_action(aspired: &[(ModelVersion, Standing)], loaded: &[ModelVersion]) -> Option<Action> {
    let mut newest_first = aspired.to_vec();
    newest_first.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let mut wanted = None;
    for (version, standing) in &newest_first {
        match standing {
            Standing::Untried => return Some(Action::Load(*version)),
            Standing::Loaded => wanted = Some(*version),
            // The file was replaced by one that does not serve, or not yet: what was loaded from it before serves on.
            Standing::Refused | Standing::Unsettled if loaded.contains(version) => wanted = Some(*version),
            Standing::Refused | Standing::Unsettled => {}
        }
        if wanted.is_some() {
            break;
        }
    }
    let superfluous = |version: &&ModelVersion| match wanted {
        Some(wanted) => **version != wanted,
        None => aspired.is_empty(),
    };
    loaded.iter().find(superfluous).copied().map(Action::Unload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Loaded, Refused, Unsettled, Untried};

    fn next(aspired: &[(u64, Standing)], loaded: &[u64]) -> Option<Action> {
        let aspired: Vec<_> =
            aspired.iter().map(|(number, standing)| (ModelVersion::new(*number), *standing)).collect();
        let loaded: Vec<_> = loaded.iter().copied().map(ModelVersion::new).collect();
        next_action(&aspired, &loaded)
    }

    fn load(number: u64) -> Action {
        Action::Load(ModelVersion::new(number))
    }

    fn unload(number: u64) -> Action {
        Action::Unload(ModelVersion::new(number))
    }

    #[test]
    fn the_newest_version_is_loaded_before_the_old_one_goes() {
        assert_eq!(next(&[(1, Untried)], &[]), Some(load(1)));
        assert_eq!(next(&[(1, Loaded)], &[1]), None);
        assert_eq!(next(&[(1, Loaded), (2, Untried)], &[1]), Some(load(2)));
        assert_eq!(next(&[(1, Loaded), (2, Loaded)], &[1, 2]), Some(unload(1)));
        assert_eq!(next(&[(10, Untried), (9, Untried)], &[]), Some(load(10)), "by number, not by text");
    }

    #[test]
    fn an_older_version_is_not_loaded_under_a_newer_one() {
        assert_eq!(next(&[(1, Untried), (2, Loaded)], &[2]), None);
    }

    #[test]
    fn a_version_that_is_refused_takes_nothing_out_of_service() {
        assert_eq!(next(&[(1, Loaded), (2, Refused)], &[1]), None);
        assert_eq!(next(&[(1, Untried), (2, Refused)], &[]), Some(load(1)));
        assert_eq!(next(&[(1, Refused)], &[1]), None, "overwritten by a broken file");
        assert_eq!(next(&[(2, Refused)], &[1]), None, "the only one left is broken");
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        assert_eq!(next(&[(1, Unsettled)], &[]), None);
        assert_eq!(next(&[(1, Unsettled)], &[1]), None);
        assert_eq!(next(&[(1, Loaded), (2, Unsettled)], &[1]), None);
    }

    #[test]
    fn a_version_that_was_removed_makes_way_for_the_one_before() {
        assert_eq!(next(&[(1, Untried)], &[2]), Some(load(1)));
        assert_eq!(next(&[(1, Loaded)], &[1, 2]), Some(unload(2)));
        assert_eq!(next(&[], &[2]), Some(unload(2)));
    }
}
