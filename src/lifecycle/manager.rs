//! The one thread that loads and drops versions. Requests never wait for it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    Candidate, Reason, Refusal, Servable, ServingMap, Snapshots, Source, State, VersionStatus, admission,
    policy::{Action, Standing, next_action},
    record::{Aspired, Model, Outcome},
    source::Fingerprint,
};
use crate::{
    config::RuntimeSettings,
    model::{Digest, ModelName, ModelVersion},
    runtime::Runtime,
    telemetry::{Metrics, ModelInfo},
};

/// A file that has not changed for this long is taken for finished, however rarely the repository is looked at.
const MAX_SETTLE_TIME: Duration = Duration::from_secs(1);

/// So many looks at the start wait for files that are being written.
const SETTLING_LOOKS: u64 = 2;

/// What the manager works with.
pub(super) struct Parts {
    pub(super) source: Source,
    pub(super) snapshots: Snapshots,
    pub(super) runtime: Runtime,
    pub(super) settings: RuntimeSettings,
    pub(super) poll_interval: Duration,
    pub(super) serving: Arc<ServingMap>,
    pub(super) status: Arc<ArcSwap<Vec<VersionStatus>>>,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) struct Manager {
    parts: Parts,
    models: HashMap<ModelName, Model>,
    /// Out of service but still held by requests; dropped here once they let go, as dropping a session takes long.
    retired: Vec<Arc<Servable>>,
    /// What the last look complained of, so that it is said once and not at each look.
    complaints: HashSet<String>,
    fresh_complaints: HashSet<String>,
}

impl Manager {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            models: HashMap::new(),
            retired: Vec::new(),
            complaints: HashSet::new(),
            fresh_complaints: HashSet::new(),
        }
    }

    /// Looks at the repository again and again until `stopped` is closed.
    pub(super) fn run(mut self, first_pass_done: &watch::Sender<bool>, stopped: &mpsc::Receiver<()>) {
        for looks in 1_u64.. {
            let Some(unsettled) = self.pass(stopped) else { return };
            // A file that is written all the time must not keep the others' models from being found ready.
            if !unsettled || looks >= SETTLING_LOOKS {
                first_pass_done.send_replace(true);
            }
            let pause = if unsettled { self.settle_time() } else { self.parts.poll_interval };
            match stopped.recv_timeout(pause) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long a file must not have changed before it is tried. With the poll interval before it, a new file is in
    /// service within two intervals.
    fn settle_time(&self) -> Duration {
        (self.parts.poll_interval * 3 / 4).min(MAX_SETTLE_TIME)
    }

    /// One look and everything that follows from it; whether a file has to be looked at again soon, or nothing if
    /// the manager is to stop.
    fn pass(&mut self, stopped: &mpsc::Receiver<()>) -> Option<bool> {
        self.retired.retain(|servable| Arc::strong_count(servable) > 1);
        match self.parts.source.look() {
            Ok(found) => {
                for complaint in found.ignored {
                    self.complain(complaint);
                }
                self.note(found.candidates);
            }
            // What serves goes on serving: a repository that cannot be read says nothing about its models.
            Err(error) => {
                self.complain(format!("the model repository cannot be read: {error}"));
            }
        }
        self.publish(None);
        let names: Vec<ModelName> = self.models.keys().cloned().collect();
        let mut unsettled = false;
        for name in names {
            while let Some(action) = self.next_action(&name) {
                if stopped.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
                    return None;
                }
                match action {
                    Action::Load(version) => {
                        self.publish(Some((&name, version, State::Loading)));
                        self.load(&name, version);
                    }
                    Action::Unload(version) => {
                        self.publish(Some((&name, version, State::Unloading)));
                        self.unload(&name, version);
                    }
                }
                self.publish(None);
            }
            let settle_time = self.settle_time();
            let model = self.models.get(&name);
            unsettled |= model.is_some_and(|model| {
                model.aspired.values().any(|aspired| aspired.standing(settle_time) == Standing::Unsettled)
            });
        }
        self.models.retain(|_, model| !(model.aspired.is_empty() && model.loaded.is_empty()));
        self.publish(None);
        self.complaints = std::mem::take(&mut self.fresh_complaints);
        Some(unsettled)
    }

    /// Logs what the last look did not complain of; whether it is new.
    fn complain(&mut self, complaint: String) -> bool {
        let new = !self.complaints.contains(&complaint) && !self.fresh_complaints.contains(&complaint);
        if new {
            tracing::warn!("{complaint}");
        }
        self.fresh_complaints.insert(complaint);
        new
    }

    /// Takes down what lies in the repository now.
    fn note(&mut self, candidates: Vec<Candidate>) {
        let mut found: HashMap<ModelName, BTreeMap<ModelVersion, Candidate>> = HashMap::new();
        for candidate in candidates {
            found.entry(candidate.model.clone()).or_default().insert(candidate.version, candidate);
        }
        for name in found.keys() {
            self.models.entry(name.clone()).or_default();
        }
        for (name, model) in &mut self.models {
            let mut before = std::mem::take(&mut model.aspired);
            for (version, candidate) in found.remove(name).unwrap_or_default() {
                // A file that could not be read, or changed and is what it was again, has to be tried anew.
                let stands = |old: &Aspired| old.candidate == candidate && !old.is_open();
                let same = before.remove(&version).filter(stands);
                let new = || Aspired { candidate, seen_since: Instant::now(), outcome: Outcome::Untried };
                model.aspired.insert(version, same.unwrap_or_else(new));
            }
            model.gone_since = match (model.aspired.is_empty(), model.gone_since) {
                (true, None) => Some(Instant::now()),
                (true, since) => since,
                (false, _) => None,
            };
        }
    }

    fn next_action(&self, name: &ModelName) -> Option<Action> {
        let model = self.models.get(name)?;
        let settle_time = self.settle_time();
        // A tool that replaces a file by removing it first must not take the model out of service.
        if model.gone_since.is_some_and(|since| since.elapsed() < self.settle_time()) {
            return None;
        }
        let aspired: Vec<_> = model
            .aspired
            .iter()
            .map(|(version, aspired)| (*version, aspired.standing(settle_time)))
            .collect();
        let loaded: Vec<_> = model.loaded.keys().copied().collect();
        next_action(&aspired, &loaded)
    }

    fn load(&mut self, name: &ModelName, version: ModelVersion) {
        let Some(model) = self.models.get_mut(name) else {
            return;
        };
        let Some(aspired) = model.aspired.get_mut(&version) else {
            return;
        };
        let replaced = model.loaded.get(&version);
        let start = Instant::now();
        tracing::debug!(model.name = %name, model.version = %version, "a candidate is tried");

        let file = aspired.candidate.file.clone();
        let snapshot = match self.parts.snapshots.take(&file) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let refusal = Refusal::new(Reason::Unreadable, error.to_string());
                return self.refuse(name, version, None, refusal);
            }
        };
        if Fingerprint::of(&file).ok() != Some(aspired.candidate.fingerprint) {
            aspired.outcome = Outcome::Changing;
            return;
        }
        let digest = snapshot.digest();
        if replaced.is_some_and(|replaced| replaced.digest() == digest) {
            aspired.outcome = Outcome::Loaded;
            return;
        }
        let identity = (name.clone(), version);
        let admitted = admission::admit(
            self.parts.runtime,
            &self.parts.settings,
            identity,
            snapshot,
            replaced.map(Arc::as_ref),
        );
        match admitted {
            Ok(servable) => {
                aspired.outcome = Outcome::Loaded;
                let servable = Arc::new(servable);
                self.retired.extend(self.parts.serving.insert(&servable));
                let old = model.loaded.insert(version, servable);
                self.parts.metrics.model_swapped(name.as_str());
                tracing::info!(
                    model.name = %name,
                    model.version = %version,
                    model.digest = digest.short(),
                    model.replaces = old.map(|old| old.digest().short()),
                    duration_ms = millis(start.elapsed()),
                    "a version was put into service"
                );
            }
            Err(refusal) => self.refuse(name, version, Some(digest), refusal),
        }
    }

    fn refuse(&mut self, name: &ModelName, version: ModelVersion, digest: Option<Digest>, refusal: Refusal) {
        let news = if refusal.reason == Reason::Unreadable {
            self.complain(format!("{name}/{version}: {}; it is tried again at each look", refusal.detail))
        } else {
            tracing::warn!(
                model.name = %name,
                model.version = %version,
                model.digest = digest.map(|digest| digest.short()),
                reason = refusal.reason.code(),
                "a version was refused: {}", refusal.detail
            );
            true
        };
        if news {
            self.parts.metrics.model_refused(name.as_str(), refusal.reason.code());
        }
        if let Some(aspired) = self.models.get_mut(name).and_then(|model| model.aspired.get_mut(&version)) {
            aspired.outcome = Outcome::Refused(refusal);
        }
    }

    fn unload(&mut self, name: &ModelName, version: ModelVersion) {
        let removed = self.parts.serving.remove(name, version);
        if let Some(model) = self.models.get_mut(name) {
            model.loaded.remove(&version);
            // Whoever brings the file back, or takes a newer one away, wants it tried again.
            if let Some(aspired) = model.aspired.get_mut(&version) {
                aspired.outcome = Outcome::Untried;
            }
        }
        self.retired.extend(removed);
        tracing::info!(model.name = %name, model.version = %version, "a version was taken out of service");
    }

    /// Makes metrics and status say what is so; `busy` is what is being done right now.
    fn publish(&self, busy: Option<(&ModelName, ModelVersion, State)>) {
        let mut status: Vec<VersionStatus> =
            self.models.iter().flat_map(|(name, model)| model.status(name, self.settle_time())).collect();
        status.sort_by(|left, right| (&left.model, left.version).cmp(&(&right.model, right.version)));
        if let Some((model, version, state)) = busy {
            // A version in service stays so while another file of the same number is tried.
            let concerned = |status: &&mut VersionStatus| {
                status.model == *model
                    && status.version == version
                    && (status.state != State::Ready || state == State::Unloading)
            };
            status.iter_mut().filter(concerned).for_each(|status| status.state = state);
        }
        if **self.parts.status.load() != status {
            let info = |servable: &Arc<Servable>| ModelInfo {
                model: servable.name.to_string(),
                version: servable.version.to_string(),
                digest: servable.digest().short(),
            };
            self.parts.metrics.set_models(&self.parts.serving.all().iter().map(info).collect::<Vec<_>>());
            self.parts.status.store(Arc::new(status));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
