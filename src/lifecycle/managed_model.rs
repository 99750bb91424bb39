//! The manager's record of each model: files in the repository, their progress, and the versions that serve.

mod config;
mod deployments;
mod events;
mod load_request;
mod refusals;
mod restoration;
mod status;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{
    Config, Deployment, Refusal, Servable, Snapshot,
    history::Timings,
    model_config::{ModelConfig, VersionNumber, Versions},
    notice::wanted_but_missing,
    policy::{Action, CandidateState, DesiredState, next_action, relevant},
    serving_map::ServingModel,
    version_harness::{Moment, VersionHarness},
};
use crate::{
    config::Preserve,
    model::{Digest, ModelVersion, VersionLabel},
};
pub(super) use deployments::Withdrawn;
pub(super) use events::{Effects, RemovalRules};
use load_request::LoadRequest;
use refusals::Refused;
pub(super) use restoration::Restoration;

/// The record of one model. Events change the state of its versions ([`ManagedModel::on`]), and named operations that of
/// the model.
#[derive(Default)]
pub(super) struct ManagedModel {
    config: Arc<ModelConfig>,
    /// The configuration now beside the model, if it differs, and the time it was first seen. It may still be being
    /// written.
    coming_config: Option<(Config, Instant)>,
    /// True once the configuration, or its absence, was recorded.
    is_configured: bool,
    /// True if serving versions may need another schedule.
    needs_reschedule: bool,
    /// The reason why the present configuration cannot be read. The previous one stays in effect.
    config_problem: Option<String>,
    aspired: BTreeMap<ModelVersion, VersionHarness>,
    loaded: BTreeMap<ModelVersion, Arc<Servable>>,
    labels: BTreeMap<VersionLabel, ModelVersion>,
    /// Previous deployments with their copies, newest last.
    previous: Vec<(Deployment, Arc<Snapshot>)>,
    /// Digests of the files that were rolled back, regardless of their configuration.
    rolled_back: BTreeSet<Digest>,
    /// The version that was evicted for the next one: the digest of its file, and the share of its responses that
    /// failed.
    evicted: Option<(Digest, f64)>,
    refused: HashMap<Refused, Refusal>,
    /// True if the model was unloaded by request.
    unloaded: bool,
    /// Deployments that served when the process ended and could not be restored yet.
    unrestored: Vec<(Deployment, Arc<Snapshot>)>,
    restored_at: Option<Instant>,
    /// Time of the last failure to follow another gateway's rollback.
    failed_to_go_back_at: Option<Instant>,
    /// The load request in progress.
    load_request: Option<LoadRequest>,
}

impl ManagedModel {
    /// Returns the configuration in effect.
    pub(super) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Returns the versions in service.
    pub(super) fn loaded(&self) -> &BTreeMap<ModelVersion, Arc<Servable>> {
        &self.loaded
    }

    /// Returns the labels that point to a version in service.
    pub(super) fn labels(&self) -> &BTreeMap<VersionLabel, ModelVersion> {
        &self.labels
    }

    /// Returns the durations of a version's way into service.
    pub(super) fn timings(&self, version: ModelVersion) -> Timings {
        self.aspired.get(&version).map(VersionHarness::timings).unwrap_or_default()
    }

    /// Returns the version for requests that name none: the newest that does not serve for a label only.
    pub(super) fn default_version(&self) -> Option<ModelVersion> {
        let newest = self.loaded.keys().next_back().copied();
        match &self.config.versions {
            Versions::Latest => newest,
            Versions::Exactly(versions) => {
                let listed = self.loaded.keys().rev().find(|version| versions.contains(version));
                listed.copied().or(newest)
            }
        }
    }

    /// Returns the servable for requests that name no version.
    pub(super) fn current(&self) -> Option<&Arc<Servable>> {
        self.loaded.get(&self.default_version()?)
    }

    /// Returns the versions that labels shall point to, and those that they point to until then.
    fn labelled(&self) -> BTreeSet<ModelVersion> {
        let versions = |(label, version): (&VersionLabel, &VersionNumber)| {
            let old = self.labels.get(label).filter(|_| !self.loaded.contains_key(&version.0));
            [Some(version.0), old.copied()].into_iter().flatten()
        };
        self.config.labels.iter().flat_map(versions).collect()
    }

    /// Builds the model's entry in the serving map. A label keeps its old version until the new one serves.
    pub(super) fn serving(&mut self) -> ServingModel {
        let target = |(label, version): (&VersionLabel, &VersionNumber)| {
            let old = self.labels.get(label).copied();
            let ready = |version: &ModelVersion| self.loaded.contains_key(version);
            Some(version.0).filter(ready).or(old.filter(ready)).map(|version| (label.clone(), version))
        };
        self.labels = self.config.labels.iter().filter_map(target).collect();
        ServingModel {
            versions: self.loaded.clone(),
            default: self.default_version(),
            labels: self.labels.clone(),
        }
    }

    /// Returns true if any version is in the repository or serves.
    pub(super) fn has_versions(&self) -> bool {
        !(self.aspired.is_empty() && self.loaded.is_empty())
    }

    /// Returns true if this version is in the repository or serves.
    pub(super) fn has_version(&self, version: ModelVersion) -> bool {
        self.aspired.contains_key(&version) || self.loaded.contains_key(&version)
    }

    /// Returns a message if all versions that the configuration asks for are missing.
    pub(super) fn wants_what_is_missing(&self) -> Option<String> {
        let missing = self.config.versions.missing(|version| self.has_version(version));
        let asked = match &self.config.versions {
            Versions::Exactly(versions) => versions.len(),
            Versions::Latest => return None,
        };
        (missing.len() == asked).then(|| wanted_but_missing(self.config.file, &missing))
    }

    /// Returns true if there is anything to remember about the model.
    pub(super) fn is_known(&self) -> bool {
        let lies_or_serves = !(self.aspired.is_empty() && self.loaded.is_empty());
        lies_or_serves || self.unloaded || !self.rolled_back.is_empty() || !self.unrestored.is_empty()
    }

    /// Returns the state of each version from the policy's point of view.
    fn candidate_states(&self, at: Moment) -> Vec<(ModelVersion, CandidateState)> {
        self.aspired.iter().map(|(version, aspired)| (*version, aspired.candidate_state(at))).collect()
    }

    /// Returns the versions whose state decides what serves.
    pub(super) fn relevant(&self, at: Moment) -> BTreeSet<ModelVersion> {
        let loaded: Vec<_> = self.loaded.keys().copied().collect();
        let labelled = self.labelled();
        // The setting changes the order of actions, not the versions.
        let desired = self.desired(&labelled, Preserve::Availability);
        relevant(desired, &self.candidate_states(at), &loaded)
    }

    /// Returns the next action of the policy. `None` if there is nothing to do now.
    pub(super) fn next_action(&self, preserve: Preserve, at: Moment) -> Option<Action> {
        // An unreadable configuration changes nothing.
        if self.config_problem.is_some() {
            return None;
        }
        let loaded: Vec<_> = self.loaded.keys().copied().collect();
        let labelled = self.labelled();
        next_action(self.desired(&labelled, preserve), &self.candidate_states(at), &loaded)
    }

    fn desired<'w>(&'w self, labelled: &'w BTreeSet<ModelVersion>, preserve: Preserve) -> DesiredState<'w> {
        DesiredState { versions: &self.config.versions, labelled, preserve, unloaded: self.unloaded }
    }

    /// Returns the states of the versions that decide what serves.
    pub(super) fn decisive_states(&self, at: Moment) -> impl Iterator<Item = CandidateState> {
        let relevant = self.relevant(at);
        let states = self.candidate_states(at).into_iter();
        states.filter(move |(version, _)| relevant.contains(version)).map(|(_, state)| state)
    }

    /// Returns true if files or configuration are still settling, or if a file that decides what serves has settled and
    /// was not tried yet: it settled after the policy was last applied.
    pub(super) fn is_unsettled(&self, at: Moment) -> bool {
        let unsettled = |aspired: &VersionHarness| aspired.candidate_state(at) == CandidateState::Unsettled;
        self.coming_config.is_some()
            || self.aspired.values().any(unsettled)
            || self.decisive_states(at).any(|state| state == CandidateState::Untried)
    }

    /// Returns true if a scan without changes needs no action.
    pub(super) fn is_calm(&self, at: Moment) -> bool {
        self.is_configured
            && self.coming_config.is_none()
            && self.aspired.values().all(|harness| harness.is_calm(at))
    }

    /// Returns true if a version in progress decides what serves.
    pub(super) fn is_in_progress(&self, at: Moment) -> bool {
        self.decisive_states(at).any(CandidateState::is_in_progress)
    }
}
