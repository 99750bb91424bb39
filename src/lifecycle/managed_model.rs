//! The manager's record of each model: files in the repository, their progress, and the versions that serve.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Deployment, ModelDeployments, Proof, Reason, Refusal, Servable, Snapshot, State, VersionStatus,
    model_config::{ModelConfig, VersionNumber, Versions},
    notice::wanted_but_missing,
    operation::LoadReply,
    policy::{CandidateState, DesiredState, relevant},
    serving_map::ServingModel,
    version_harness::{SettleTimes, Stage, VersionHarness},
};
use crate::{
    config::Preserve,
    model::{Digest, ModelName, ModelVersion, VersionLabel},
};

/// Most refused contents of a model that are remembered, so that none is tried twice.
const REMEMBERED_REFUSALS: usize = 256;

/// Pause before a failed attempt to follow another gateway's rollback is retried.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The record of one model.
#[derive(Default)]
pub(super) struct ManagedModel {
    pub(super) config: Arc<ModelConfig>,
    /// The configuration now beside the model, if it differs, and the time it was first seen. It may still be being
    /// written.
    pub(super) coming_config: Option<(Result<Arc<ModelConfig>, String>, Instant)>,
    /// True once the configuration, or its absence, was recorded.
    pub(super) is_configured: bool,
    /// True if serving versions may need another schedule.
    pub(super) needs_reschedule: bool,
    /// The reason why the present configuration cannot be read. The previous one stays in effect.
    pub(super) config_problem: Option<String>,
    pub(super) aspired: BTreeMap<ModelVersion, VersionHarness>,
    pub(super) loaded: BTreeMap<ModelVersion, Arc<Servable>>,
    pub(super) labels: BTreeMap<VersionLabel, ModelVersion>,
    /// Previous deployments with their copies, newest last.
    pub(super) previous: Vec<(Deployment, Arc<Snapshot>)>,
    /// Digests of the files that were rolled back, regardless of their configuration.
    pub(super) rolled_back: BTreeSet<Digest>,
    /// The version that was evicted for the next one: the digest of its file, and the share of its responses that
    /// failed.
    pub(super) evicted: Option<(Digest, f64)>,
    refused: HashMap<Refused, Refusal>,
    /// True if the model was unloaded by request.
    pub(super) unloaded: bool,
    /// Deployments that served when the process ended and could not be restored yet.
    pub(super) unrestored: Vec<(Deployment, Arc<Snapshot>)>,
    pub(super) restored_at: Option<Instant>,
    /// Time of the last failure to follow another gateway's rollback.
    pub(super) failed_to_go_back_at: Option<Instant>,
    /// The load request in progress.
    pub(super) load_request: Option<LoadRequest>,
}

/// The content that was refused. For a breaking change, also the content in service whose callers it would break. The
/// refusal does not hold for another version, or once another content serves.
type Refused = (Digest, Option<Digest>);

/// A load request in progress.
pub(super) struct LoadRequest {
    pub(super) by: String,
    pub(super) allow_breaking_changes: bool,
    pub(super) replies: Vec<LoadReply>,
}

impl ManagedModel {
    /// Applies a changed configuration. Versions were loaded or refused under the old one, so the same files may now be
    /// judged differently.
    pub(super) fn configure(&mut self, config: Arc<ModelConfig>) {
        self.config_problem = None;
        let same = (&self.config.contract, &self.config.pin) == (&config.contract, &config.pin);
        let reschedules = self.config.scheduler != config.scheduler;
        let allows_more = config.allow_breaking_changes && !self.config.allow_breaking_changes;
        self.config = config;
        let refused_as =
            |stage: &Stage, reason| matches!(stage, Stage::Refused(refusal, _) if refusal.reason == reason);
        if reschedules {
            self.needs_reschedule = true;
            self.refused.retain(|_, refusal| refusal.reason != Reason::InvalidConfig);
        }
        for aspired in self.aspired.values_mut() {
            let stage = &aspired.stage;
            if !same
                || (allows_more && refused_as(stage, Reason::IncompatibleSignature))
                || (reschedules && refused_as(stage, Reason::InvalidConfig))
            {
                aspired.stage = Stage::New;
            }
        }
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
    pub(super) fn labelled(&self) -> BTreeSet<ModelVersion> {
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

    /// Returns the state that survives a restart.
    pub(super) fn deployments(&self) -> ModelDeployments {
        ModelDeployments {
            serving: self
                .loaded
                .values()
                .map(|servable| servable.deployment())
                .chain(self.unrestored.iter().map(|(deployment, _)| deployment.clone()))
                .collect(),
            previous: self.previous.iter().map(|(deployment, _)| deployment.clone()).collect(),
            rolled_back: self.rolled_back.clone(),
            unloaded: self.unloaded,
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
        (missing.len() == asked).then(|| wanted_but_missing(&missing))
    }

    /// Returns true if there is anything to remember about the model.
    pub(super) fn is_known(&self) -> bool {
        let lies_or_serves = !(self.aspired.is_empty() && self.loaded.is_empty());
        lies_or_serves || self.unloaded || !self.rolled_back.is_empty() || !self.unrestored.is_empty()
    }

    /// Returns the state of each version from the policy's point of view.
    pub(super) fn standings(&self, patience: SettleTimes) -> Vec<(ModelVersion, CandidateState)> {
        self.aspired.iter().map(|(version, aspired)| (*version, aspired.standing(patience))).collect()
    }

    /// Returns the versions whose state decides what serves.
    pub(super) fn relevant(&self, patience: SettleTimes) -> BTreeSet<ModelVersion> {
        let loaded: Vec<_> = self.loaded.keys().copied().collect();
        let labelled = self.labelled();
        // The setting changes the order of actions, not the versions.
        let preserve = Preserve::Availability;
        let wish = DesiredState {
            versions: &self.config.versions,
            labelled: &labelled,
            preserve,
            unloaded: self.unloaded,
        };
        relevant(wish, &self.standings(patience), &loaded)
    }

    /// Returns the states of the versions that decide what serves.
    pub(super) fn decisive_standings(&self, patience: SettleTimes) -> impl Iterator<Item = CandidateState> {
        let relevant = self.relevant(patience);
        let standings = self.standings(patience).into_iter();
        standings.filter(move |(version, _)| relevant.contains(version)).map(|(_, standing)| standing)
    }

    /// Returns true if files or configuration are still settling.
    pub(super) fn is_unsettled(&self, patience: SettleTimes) -> bool {
        let unsettled = |aspired: &VersionHarness| aspired.standing(patience) == CandidateState::Unsettled;
        self.coming_config.is_some() || self.aspired.values().any(unsettled)
    }

    /// Returns true if a scan without changes needs no action.
    pub(super) fn is_calm(&self, patience: SettleTimes) -> bool {
        let is_calm = |aspired: &VersionHarness| {
            aspired.gone_since.is_none()
                && match &aspired.stage {
                    Stage::New => aspired.is_old(patience),
                    Stage::Refused(refusal, _) => !refusal.reason.is_passing(),
                    _ => true,
                }
        };
        self.is_configured && self.coming_config.is_none() && self.aspired.values().all(is_calm)
    }

    /// Returns true if a version in progress decides what serves.
    pub(super) fn is_in_progress(&self, patience: SettleTimes) -> bool {
        self.decisive_standings(patience).any(CandidateState::is_in_progress)
    }

    /// Puts a servable into service and removes others in one step. Returns the servables that are out of service now.
    /// The previous current one becomes the target of a rollback, unless its content is `bad`.
    pub(super) fn exchange(
        &mut self,
        put: Option<Arc<Servable>>,
        take: &[ModelVersion],
        bad: Option<Digest>,
        keep: usize,
    ) -> Vec<Arc<Servable>> {
        let before = self.current().cloned();
        let mut out: Vec<_> = take.iter().filter_map(|version| self.loaded.remove(version)).collect();
        out.extend(put.and_then(|servable| self.loaded.insert(servable.version, servable)));
        let now = self.current().map(|servable| servable.content());
        if let Some(before) = before.filter(|before| Some(before.content()) != now) {
            let content = before.content();
            self.previous.retain(|(deployment, _)| deployment.content != content);
            if Some(content) != bad {
                self.previous.push((before.deployment(), Arc::clone(&before.snapshot)));
            }
        }
        // The content that serves is not a target of a rollback, and no longer counts as rolled back.
        self.previous.retain(|(deployment, _)| Some(deployment.content) != now);
        let files = self.current().map(|servable| servable.snapshot.files_digest());
        self.rolled_back.retain(|digest| Some(*digest) != files);
        let surplus = self.previous.len().saturating_sub(keep);
        self.previous.drain(..surplus);
        out
    }

    /// Checks that an existing copy may still serve: it is intact, and the present configuration allows it.
    pub(super) fn check_copy(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let pinned = &self.config.pin.sha256;
        if let Some(digest) = snapshot.digests().find(|digest| !pinned.is_empty() && !pinned.contains(digest))
        {
            let detail = format!("the sha256 {digest} is not one of pin.sha256");
            return Err(Refusal::new(Reason::DigestMismatch, detail));
        }
        snapshot.verify().map_err(|error| Refusal::new(Reason::Unreadable, format!("its copy: {error}")))
    }

    /// Returns the origin of the current action, for the history.
    pub(super) fn wanted_by(&self) -> String {
        self.load_request.as_ref().map_or_else(|| "repository".to_owned(), |request| request.by.clone())
    }

    /// Returns the previous refusal of this content. `None` if it would not be refused again as this version.
    pub(super) fn refusal_of(&self, version: ModelVersion, snapshot: &Snapshot) -> Option<Refusal> {
        let content = snapshot.content();
        if let Some(refusal) = self.rolled_back_refusal(snapshot) {
            return Some(refusal);
        }
        let replaced = || self.loaded.get(&version).filter(|_| !self.config.allow_breaking_changes);
        let breaking = || self.refused.get(&(content, Some(replaced()?.content())));
        self.refused.get(&(content, None)).or_else(breaking).cloned()
    }

    /// Returns the refusal of a copy whose files were rolled back. `None` if they were not.
    pub(super) fn rolled_back_refusal(&self, snapshot: &Snapshot) -> Option<Refusal> {
        let detail = "it served and was rolled back; a request to load it tries it again";
        let is_rolled_back = self.rolled_back.contains(&snapshot.files_digest());
        is_rolled_back.then(|| Refusal::new(Reason::RolledBack, detail))
    }

    /// Returns true unless following another gateway's rollback failed a moment ago.
    pub(super) fn may_retry_rollback(&self) -> bool {
        self.failed_to_go_back_at.is_none_or(|at| at.elapsed() >= RETRY_AFTER)
    }

    /// Remembers the refusal of a content, unless the reason is transient.
    pub(super) fn record_refusal(&mut self, version: ModelVersion, content: Digest, refusal: &Refusal) {
        if refusal.reason.is_passing() {
            return;
        }
        if self.refused.len() >= REMEMBERED_REFUSALS {
            self.refused.clear();
        }
        let replaced = self.loaded.get(&version).filter(|_| refusal.reason == Reason::IncompatibleSignature);
        let key = (content, replaced.map(|replaced| replaced.content()));
        self.refused.insert(key, refusal.clone());
    }

    /// Blocks automatic retries of this content, even if the reason is transient.
    pub(super) fn block(&mut self, content: Digest, refusal: &Refusal) {
        self.refused.insert((content, None), refusal.clone());
    }

    /// Resets the files of some versions, so that they are tried again.
    pub(super) fn try_again(&mut self, is_meant: impl Fn(&Stage) -> bool) {
        self.aspired
            .values_mut()
            .filter(|aspired| is_meant(&aspired.stage))
            .for_each(|aspired| aspired.stage = Stage::New);
    }

    /// Forgets refusals, rollbacks and the unload, so that every content is tried again.
    pub(super) fn forget_refusals(&mut self) {
        self.refused.clear();
        self.rolled_back.clear();
        self.unloaded = false;
        self.try_again(|stage| matches!(stage, Stage::Refused(..)));
    }

    /// Returns the proof of a content that serves or served before, which saves making it again.
    pub(super) fn known_proof(&self, content: Digest) -> Option<Proof> {
        let serving = self.loaded.values().find(|servable| servable.content() == content);
        let before = self.previous.iter().find(|(deployment, _)| deployment.content == content);
        serving
            .map(|servable| servable.proof.clone())
            .or_else(|| before.map(|(deployment, _)| deployment.proof.clone()))
            .filter(Proof::is_of_this_gateway)
    }

    /// Returns the status of each version that is in the repository or serves.
    pub(super) fn status(&self, name: &ModelName, patience: SettleTimes) -> Vec<VersionStatus> {
        let versions: BTreeSet<_> = self.aspired.keys().chain(self.loaded.keys()).copied().collect();
        let default = self.default_version();
        let relevant = self.relevant(patience);
        let status = |version| {
            let loaded = self.loaded.get(&version);
            let aspired = self.aspired.get(&version);
            let standing = aspired.map(|aspired| aspired.standing(patience));
            let under_way =
                relevant.contains(&version) && standing.is_some_and(CandidateState::is_in_progress);
            let refusal = aspired.and_then(|aspired| match &aspired.stage {
                Stage::Refused(refusal, _) => Some(refusal.clone()),
                _ => None,
            });
            let config_refusal =
                || self.config_problem.as_ref().map(|text| Refusal::new(Reason::InvalidConfig, text.clone()));
            VersionStatus {
                model: name.clone(),
                version,
                state: match loaded {
                    Some(_) => State::Ready,
                    None if under_way && self.config_problem.is_none() => State::Loading,
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
                    .filter(|_| under_way)
                    .or_else(|| self.wants_what_is_missing().filter(|_| self.loaded.is_empty())),
            }
        };
        versions.into_iter().map(status).collect()
    }
}
