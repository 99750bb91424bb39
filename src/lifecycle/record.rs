//! What the manager knows of each model: the files that lie in the repository, what became of them, what serves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Deployment, ModelDeployments, Proof, Reason, Refusal, Servable, Snapshot, State, VersionStatus,
    aspired::{Aspired, Patience, Stage},
    model_config::{ModelConfig, VersionNumber, Versions},
    notice::wanted_but_missing,
    operation::LoadReply,
    policy::{Standing, Wish, considered},
    serving_map::ServingModel,
};
use crate::{
    config::Preserve,
    model::{Digest, ModelName, ModelVersion, VersionLabel},
};

/// So many refused contents of a model are remembered, so that none is tried twice.
const REMEMBERED_REFUSALS: usize = 256;

/// Going back as another gateway did is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is known of one model.
#[derive(Default)]
pub(super) struct Model {
    pub(super) config: Arc<ModelConfig>,
    /// What stands beside the model now, if that is something else, and since when: it may still be being written.
    pub(super) coming_config: Option<(Result<Arc<ModelConfig>, String>, Instant)>,
    /// Whether anything that stands beside the model, or that nothing does, was ever taken down.
    pub(super) is_configured: bool,
    /// Whether what serves may have to be scheduled otherwise.
    pub(super) is_to_reschedule: bool,
    /// Why what stands beside the model now cannot be read; the one before holds on.
    pub(super) config_problem: Option<String>,
    pub(super) aspired: BTreeMap<ModelVersion, Aspired>,
    pub(super) loaded: BTreeMap<ModelVersion, Arc<Servable>>,
    pub(super) labels: BTreeMap<VersionLabel, ModelVersion>,
    /// What served before, the last one last, with their copies.
    pub(super) previous: Vec<(Deployment, Arc<Snapshot>)>,
    /// The files that were taken back, whatever stands beside them.
    pub(super) rolled_back: BTreeSet<Digest>,
    /// What went out of service for the next one's sake: its file, and the share of its answers that failed.
    pub(super) made_room: Option<(Digest, f64)>,
    refused: HashMap<Refused, Refusal>,
    /// Whether it was unloaded by request.
    pub(super) unloaded: bool,
    /// What served when the process ended and could not be put into service again, and when that was tried last.
    pub(super) unrestored: Vec<(Deployment, Arc<Snapshot>)>,
    pub(super) restored_at: Option<Instant>,
    /// The last failure to go back as another gateway did.
    pub(super) failed_to_go_back_at: Option<Instant>,
    /// What the request to load that is being carried out allows, and who waits for it.
    pub(super) load_request: Option<LoadRequest>,
}

/// A content that was refused, and, if that is because it would break callers, the content whose callers: they are those
/// of a version in service, and are no more once another one serves or where another version is meant.
type Refused = (Digest, Option<Digest>);

/// A request to load that is being carried out.
pub(super) struct LoadRequest {
    pub(super) by: String,
    pub(super) allow_breaking_changes: bool,
    pub(super) replies: Vec<LoadReply>,
}

impl Model {
    /// Follows what stands beside it. What is loaded was admitted under other words, and what was refused too: the same
    /// files may mean something else now.
    pub(super) fn configure(&mut self, config: Arc<ModelConfig>) {
        self.config_problem = None;
        let same = (&self.config.contract, &self.config.pin) == (&config.contract, &config.pin);
        let reschedules = self.config.scheduler != config.scheduler;
        let allows_more = config.allow_breaking_changes && !self.config.allow_breaking_changes;
        self.config = config;
        let refused_as =
            |stage: &Stage, reason| matches!(stage, Stage::Refused(refusal, _) if refusal.reason == reason);
        if reschedules {
            self.is_to_reschedule = true;
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

    /// The version that requests without one mean: the newest that is not there for a label's sake only.
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

    /// What requests without a version get.
    pub(super) fn current(&self) -> Option<&Arc<Servable>> {
        self.loaded.get(&self.default_version()?)
    }

    /// The versions that labels are to point to, and those that they point to until then.
    pub(super) fn labelled(&self) -> BTreeSet<ModelVersion> {
        let versions = |(label, version): (&VersionLabel, &VersionNumber)| {
            let old = self.labels.get(label).filter(|_| !self.loaded.contains_key(&version.0));
            [Some(version.0), old.copied()].into_iter().flatten()
        };
        self.config.labels.iter().flat_map(versions).collect()
    }

    /// What requests are to see. A label goes on pointing to what it pointed to until its new version is in service.
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

    /// What is remembered of it over a restart.
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

    /// Returns true if any version of it lies in the repository or serves.
    pub(super) fn has_versions(&self) -> bool {
        !(self.aspired.is_empty() && self.loaded.is_empty())
    }

    /// Returns true if this version lies in the repository or serves.
    pub(super) fn has_version(&self, version: ModelVersion) -> bool {
        self.aspired.contains_key(&version) || self.loaded.contains_key(&version)
    }

    /// The sentence for versions that are asked for, if none of them is there.
    pub(super) fn wants_what_is_missing(&self) -> Option<String> {
        let missing = self.config.versions.missing(|version| self.has_version(version));
        let asked = match &self.config.versions {
            Versions::Exactly(versions) => versions.len(),
            Versions::Latest => return None,
        };
        (missing.len() == asked).then(|| wanted_but_missing(&missing))
    }

    /// Whether there is anything to know of it.
    pub(super) fn is_known(&self) -> bool {
        let lies_or_serves = !(self.aspired.is_empty() && self.loaded.is_empty());
        lies_or_serves || self.unloaded || !self.rolled_back.is_empty() || !self.unrestored.is_empty()
    }

    /// How its versions stand to the policy.
    pub(super) fn standings(&self, patience: Patience) -> Vec<(ModelVersion, Standing)> {
        self.aspired.iter().map(|(version, aspired)| (*version, aspired.standing(patience))).collect()
    }

    /// The versions on which it depends what serves.
    pub(super) fn considered(&self, patience: Patience) -> BTreeSet<ModelVersion> {
        let loaded: Vec<_> = self.loaded.keys().copied().collect();
        let labelled = self.labelled();
        // What a swap preserves changes when something is done, not what.
        let preserve = Preserve::Availability;
        let wish =
            Wish { versions: &self.config.versions, labelled: &labelled, preserve, unloaded: self.unloaded };
        considered(wish, &self.standings(patience), &loaded)
    }

    /// How the versions stand on which it depends what serves.
    pub(super) fn decisive_standings(&self, patience: Patience) -> impl Iterator<Item = Standing> {
        let considered = self.considered(patience);
        let standings = self.standings(patience).into_iter();
        standings.filter(move |(version, _)| considered.contains(version)).map(|(_, standing)| standing)
    }

    /// Returns true if time alone changes how its files stand.
    pub(super) fn is_unsettled(&self, patience: Patience) -> bool {
        let unsettled = |aspired: &Aspired| aspired.standing(patience) == Standing::Unsettled;
        self.coming_config.is_some() || self.aspired.values().any(unsettled)
    }

    /// Returns true if nothing follows from finding the same once more.
    pub(super) fn is_calm(&self, patience: Patience) -> bool {
        let is_calm = |aspired: &Aspired| {
            aspired.gone_since.is_none()
                && match &aspired.stage {
                    Stage::New => aspired.is_old(patience),
                    Stage::Refused(refusal, _) => !refusal.reason.is_passing(),
                    _ => true,
                }
        };
        self.is_configured && self.coming_config.is_none() && self.aspired.values().all(is_calm)
    }

    /// Whether anything is under way that decides what serves.
    pub(super) fn is_under_way(&self, patience: Patience) -> bool {
        self.decisive_standings(patience).any(Standing::is_under_way)
    }

    /// Puts a servable into service and takes others out, in one step; answers what is out of service now. What was
    /// current before can be gone back to, unless it is `bad`.
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
        // Going back to what serves is no way back, and what serves is not taken back any more.
        self.previous.retain(|(deployment, _)| Some(deployment.content) != now);
        let files = self.current().map(|servable| servable.snapshot.files_digest());
        self.rolled_back.retain(|digest| Some(*digest) != files);
        let surplus = self.previous.len().saturating_sub(keep);
        self.previous.drain(..surplus);
        out
    }

    /// Whether a copy that was made before may still serve: it is what it was, and what stands beside the model allows it
    /// by now.
    pub(super) fn check_copy(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let pinned = &self.config.pin.sha256;
        if let Some(digest) = snapshot.digests().find(|digest| !pinned.is_empty() && !pinned.contains(digest))
        {
            let detail = format!("the sha256 {digest} is not one of pin.sha256");
            return Err(Refusal::new(Reason::DigestMismatch, detail));
        }
        snapshot.verify().map_err(|error| Refusal::new(Reason::Unreadable, format!("its copy: {error}")))
    }

    /// Who or what is behind what is done now.
    pub(super) fn wanted_by(&self) -> String {
        self.load_request.as_ref().map_or_else(|| "repository".to_owned(), |request| request.by.clone())
    }

    /// Why this content was refused before, if it would be again as this version.
    pub(super) fn refusal_of(&self, version: ModelVersion, snapshot: &Snapshot) -> Option<Refusal> {
        let content = snapshot.content();
        if let Some(refusal) = self.rolled_back_refusal(snapshot) {
            return Some(refusal);
        }
        let replaced = || self.loaded.get(&version).filter(|_| !self.config.allow_breaking_changes);
        let breaking = || self.refused.get(&(content, Some(replaced()?.content())));
        self.refused.get(&(content, None)).or_else(breaking).cloned()
    }

    /// The refusal of a copy whose files were taken back; `None` if they were not.
    pub(super) fn rolled_back_refusal(&self, snapshot: &Snapshot) -> Option<Refusal> {
        let detail = "it served and was taken back; a request to load it tries it again";
        let is_rolled_back = self.rolled_back.contains(&snapshot.files_digest());
        is_rolled_back.then(|| Refusal::new(Reason::RolledBack, detail))
    }

    /// Returns true if nothing failed a moment ago in going back as another gateway did.
    pub(super) fn may_try_to_go_back(&self) -> bool {
        self.failed_to_go_back_at.is_none_or(|at| at.elapsed() >= RETRY_AFTER)
    }

    /// Remembers that this content was refused, if that says something about it.
    pub(super) fn remember_refusal(&mut self, version: ModelVersion, content: Digest, refusal: &Refusal) {
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

    /// Keeps this content from being tried again by itself, even for a reason that may pass.
    pub(super) fn bar(&mut self, content: Digest, refusal: &Refusal) {
        self.refused.insert((content, None), refusal.clone());
    }

    /// Has the files of some versions tried again.
    pub(super) fn try_again(&mut self, is_meant: impl Fn(&Stage) -> bool) {
        self.aspired
            .values_mut()
            .filter(|aspired| is_meant(&aspired.stage))
            .for_each(|aspired| aspired.stage = Stage::New);
    }

    /// Forgets what would keep any content from being tried.
    pub(super) fn forget_refusals(&mut self) {
        self.refused.clear();
        self.rolled_back.clear();
        self.unloaded = false;
        self.try_again(|stage| matches!(stage, Stage::Refused(..)));
    }

    /// The proof of a content that served before or serves, so that it need not be made again.
    pub(super) fn known_proof(&self, content: Digest) -> Option<Proof> {
        let serving = self.loaded.values().find(|servable| servable.content() == content);
        let before = self.previous.iter().find(|(deployment, _)| deployment.content == content);
        serving
            .map(|servable| servable.proof.clone())
            .or_else(|| before.map(|(deployment, _)| deployment.proof.clone()))
            .filter(Proof::is_of_this_gateway)
    }

    /// What is so with each version that lies in the repository or serves.
    pub(super) fn status(&self, name: &ModelName, patience: Patience) -> Vec<VersionStatus> {
        let versions: BTreeSet<_> = self.aspired.keys().chain(self.loaded.keys()).copied().collect();
        let default = self.default_version();
        let considered = self.considered(patience);
        let status = |version| {
            let loaded = self.loaded.get(&version);
            let aspired = self.aspired.get(&version);
            let standing = aspired.map(|aspired| aspired.standing(patience));
            let under_way = considered.contains(&version) && standing.is_some_and(Standing::is_under_way);
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
                    .and_then(Aspired::waiting)
                    .filter(|_| under_way)
                    .or_else(|| self.wants_what_is_missing().filter(|_| self.loaded.is_empty())),
            }
        };
        versions.into_iter().map(status).collect()
    }
}
