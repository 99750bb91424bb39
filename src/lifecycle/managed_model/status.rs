//! Status of a model's versions.

use std::collections::BTreeSet;

use super::ManagedModel;
use crate::{
    lifecycle::{
        Reason, Refusal, State, VersionStatus,
        policy::CandidateState,
        version_harness::{Moment, VersionHarness},
    },
    model::ModelName,
};

impl ManagedModel {
    /// Returns the status of each version that is in the repository or serves.
    pub(in crate::lifecycle) fn status(&self, name: &ModelName, at: Moment) -> Vec<VersionStatus> {
        let versions: BTreeSet<_> = self.aspired.keys().chain(self.loaded.keys()).copied().collect();
        let default = self.default_version();
        let relevant = self.relevant(at);
        let status = |version| {
            let loaded = self.loaded.get(&version);
            let aspired = self.aspired.get(&version);
            let state = aspired.map(|aspired| aspired.candidate_state(at));
            let in_progress =
                relevant.contains(&version) && state.is_some_and(CandidateState::is_in_progress);
            let refusal = aspired.and_then(VersionHarness::refusal).cloned();
            let config_refusal =
                || self.config_problem.as_ref().map(|text| Refusal::new(Reason::InvalidConfig, text.clone()));
            VersionStatus {
                model: name.clone(),
                version,
                state: match loaded {
                    Some(_) => State::Ready,
                    None if in_progress && self.config_problem.is_none() => State::Loading,
                    None => State::Unavailable,
                },
                digest: loaded.map(|servable| servable.digest()),
                is_default: default == Some(version),
                labels: self
                    .labels
                    .iter()
                    .filter(|(_, to)| **to == version)
                    .map(|(label, _)| label.clone())
                    .collect(),
                refusal: refusal.or_else(config_refusal),
                waiting: aspired
                    .and_then(VersionHarness::waiting)
                    .filter(|_| in_progress)
                    .or_else(|| self.wants_what_is_missing().filter(|_| self.loaded.is_empty())),
            }
        };
        versions.into_iter().map(status).collect()
    }
}
