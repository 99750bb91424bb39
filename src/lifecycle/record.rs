//! What the manager knows of each model: the files that lie in the repository, what became of them, what serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{Candidate, Reason, Refusal, Servable, State, VersionStatus, policy::Standing};
use crate::model::{ModelName, ModelVersion};

/// What is known of one model.
#[derive(Default)]
pub(super) struct Model {
    pub(super) aspired: BTreeMap<ModelVersion, Aspired>,
    pub(super) loaded: BTreeMap<ModelVersion, Arc<Servable>>,
    /// Since when no version lies in the repository.
    pub(super) gone_since: Option<Instant>,
}

/// A file in the repository and what became of it.
pub(super) struct Aspired {
    pub(super) candidate: Candidate,
    pub(super) seen_since: Instant,
    pub(super) outcome: Outcome,
}

/// What became of a file.
pub(super) enum Outcome {
    Untried,
    /// It changed while it was copied: the next look will find it new, or gone.
    Changing,
    Loaded,
    Refused(Refusal),
}

impl Aspired {
    /// Whether the last try said nothing about the content.
    pub(super) fn is_open(&self) -> bool {
        match &self.outcome {
            Outcome::Changing => true,
            Outcome::Refused(refusal) => refusal.reason == Reason::Unreadable,
            Outcome::Untried | Outcome::Loaded => false,
        }
    }

    /// How the file stands to the policy. It is settled when it has not changed for `settle_time`, by the system's
    /// clock or, should that of a network file system differ, by ours.
    pub(super) fn standing(&self, settle_time: Duration) -> Standing {
        match self.outcome {
            Outcome::Loaded => Standing::Loaded,
            Outcome::Refused(_) => Standing::Refused,
            Outcome::Changing => Standing::Unsettled,
            Outcome::Untried => {
                let age = self.candidate.fingerprint.age(SystemTime::now());
                let settled =
                    age.is_some_and(|age| age >= settle_time) || self.seen_since.elapsed() >= settle_time;
                if settled { Standing::Untried } else { Standing::Unsettled }
            }
        }
    }
}

impl Model {
    /// What is so with each version that lies in the repository or serves.
    pub(super) fn status(&self, name: &ModelName, settle_time: Duration) -> Vec<VersionStatus> {
        let versions: BTreeSet<_> = self.aspired.keys().chain(self.loaded.keys()).copied().collect();
        let status = |version| {
            let loaded = self.loaded.get(&version);
            let aspired = self.aspired.get(&version);
            let waiting = aspired.is_some_and(|aspired| aspired.standing(settle_time) == Standing::Unsettled);
            VersionStatus {
                model: name.clone(),
                version,
                state: match loaded {
                    Some(_) => State::Ready,
                    None if waiting => State::Loading,
                    None => State::Unavailable,
                },
                digest: loaded.map(|servable| servable.digest()),
                refusal: aspired.and_then(|aspired| match &aspired.outcome {
                    Outcome::Refused(refusal) => Some(refusal.clone()),
                    Outcome::Untried | Outcome::Changing | Outcome::Loaded => None,
                }),
            }
        };
        versions.into_iter().map(status).collect()
    }
}
