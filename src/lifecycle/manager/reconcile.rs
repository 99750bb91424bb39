//! Scans of the repository, reconciled with what the manager knows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Manager, presence::Presence, workers::Work};
use crate::{
    config::WhenRemoved,
    lifecycle::{
        Candidate, Config, ModelConfig, Notice, Refusal, RepositoryScan, ScannedModel,
        history::{Event, HistoryEntry},
        managed_model::ManagedModel,
        notice::Grace,
        version_harness::{Stage, VersionHarness},
    },
    model::{ModelName, ModelVersion},
};

impl Manager {
    /// Scans the whole repository.
    pub(super) fn scan(&mut self) {
        match self.parts.source.scan() {
            Ok(found) => {
                let is_available = self.reconcile(found);
                self.report_repository(is_available);
            }
            // An unreadable repository says nothing about its models: what serves goes on serving.
            Err(error) => {
                self.pending.record_scan(false);
                let repository = self.parts.source.repository().display().to_string();
                self.complain(format!("models.repository: {repository} cannot be read: {error}"));
                // Known notices are not logged again once the repository is readable.
                let told: Vec<String> = self.parts.notices.load().iter().map(ToString::to_string).collect();
                self.fresh_complaints.extend(told);
                self.report_repository(false);
            }
        }
        self.complaints = std::mem::take(&mut self.fresh_complaints);
    }

    /// Reconciles the models with a scan. Returns false if the repository is empty although models serve.
    fn reconcile(&mut self, found: RepositoryScan) -> bool {
        let presence = self.update_presence(&found);
        let RepositoryScan { mut models, unreadable, mut notices } = found;
        let present: Vec<ModelName> = models.keys().cloned().collect();
        for name in models.keys() {
            self.models.entry(name.clone()).or_default();
        }
        let patience = self.patience();
        // An unreadable entry says nothing about its files, and an unchanged one needs no work.
        let is_news = |(name, model): &(&ModelName, &ManagedModel)| {
            let is_same = models.get(*name).is_some_and(|found| found.is_same);
            !(unreadable.contains(name.as_str()) || (is_same && model.is_calm(patience)))
        };
        let names: Vec<ModelName> =
            self.models.iter().filter(is_news).map(|(name, _)| name.clone()).collect();
        self.pending.record_scan(names.is_empty() && unreadable.is_empty());
        for name in names {
            let candidates = match models.remove(&name) {
                Some(ScannedModel { config, candidates, .. }) => {
                    self.reconcile_config(&name, config);
                    candidates
                }
                None => BTreeMap::new(),
            };
            self.reconcile_candidates(&name, candidates);
            self.reconcile_removals(&name, presence);
            self.reconcile_defects(&name);
            self.hash_new(&name);
            self.pending.change(&name);
        }
        notices.extend(self.ineffective_settings(&present));
        if presence == Presence::Emptied {
            notices.push(Notice::of_emptied_repository(self.parts.source.repository()));
        }
        self.reconcile_notices(notices);
        let loaded = self.models.values().flat_map(|model| model.loaded.values());
        loaded.for_each(|servable| servable.trial.forget_when_over());
        presence != Presence::Emptied
    }

    /// Collects notices of versions, labels and a default model that are configured but missing.
    fn ineffective_settings(&self, present: &[ModelName]) -> Vec<Notice> {
        let known = |name: &ModelName| self.models.get(name).filter(|model| model.has_versions());
        let of_model = |name: &ModelName| {
            let model = known(name)?;
            // A configuration that is about to change is not reported.
            let is_settled = model.coming_config.is_none() && model.config_problem.is_none();
            is_settled.then(|| Notice::of_config(name, &model.config, |version| model.has_version(version)))
        };
        let default = self.parts.settings.models.default.as_ref().filter(|name| known(name).is_none());
        let is_empty = !self.models.values().any(ManagedModel::has_versions);
        let repository = is_empty.then(|| Notice::of_empty_repository(self.parts.source.repository()));
        let of_models = present.iter().filter_map(of_model).flatten();
        of_models.chain(default.map(Notice::of_default)).chain(repository).collect()
    }

    /// Reports files and settings without effect, each once and after its grace period.
    fn reconcile_notices(&mut self, notices: Vec<Notice>) {
        let patience = self.patience();
        let known: HashMap<Notice, Instant> = std::mem::take(&mut self.notices).into_iter().collect();
        let since = |notice: &Notice| known.get(notice).copied().unwrap_or_else(Instant::now);
        self.notices = notices.into_iter().map(|notice| (notice.clone(), since(&notice))).collect();
        let is_due = |(notice, since): &&(Notice, Instant)| {
            since.elapsed()
                >= match notice.grace {
                    Grace::None => Duration::ZERO,
                    Grace::Settling => patience.settle,
                    Grace::Copying => patience.incomplete,
                }
        };
        let mut due: Vec<Notice> =
            self.notices.iter().filter(is_due).map(|(notice, _)| notice.clone()).collect();
        due.sort();
        for notice in &due {
            self.complain(notice.to_string());
        }
        if **self.parts.notices.load() != due {
            self.parts.notices.store(Arc::new(due));
        }
    }

    /// Applies a model's configuration once its file has settled. An editor may be writing it, so its absence counts
    /// only after the removal grace period.
    fn reconcile_config(&mut self, name: &ModelName, config: Config) {
        let patience = self.patience();
        let grace = Duration::from_millis(self.parts.settings.models.removal_grace_ms);
        let Some(model) = self.models.get_mut(name) else { return };
        let holds = match (&config, &model.config_problem) {
            (Ok(config), None) => *config == model.config,
            (Err(problem), Some(known)) => problem == known,
            _ => false,
        };
        if holds && model.is_configured {
            model.coming_config = None;
            return;
        }
        let is_absent = config.as_ref().is_ok_and(|config| **config == ModelConfig::default());
        let needed = if is_absent { grace } else { patience.settle };
        let since = match &model.coming_config {
            Some((coming, since)) if *coming == config => *since,
            _ => Instant::now(),
        };
        if model.is_configured && since.elapsed() < needed {
            model.coming_config = Some((config, since));
            return;
        }
        (model.coming_config, model.is_configured) = (None, true);
        match config {
            Ok(config) => model.configure(config),
            Err(problem) => {
                model.config_problem = Some(problem.clone());
                self.complain(format!("{name}: {problem}; nothing changes until it can be read"));
            }
        }
    }

    fn reconcile_candidates(&mut self, name: &ModelName, candidates: BTreeMap<ModelVersion, Candidate>) {
        let Some(model) = self.models.get_mut(name) else { return };
        for aspired in model.aspired.values_mut() {
            if !candidates.contains_key(&aspired.candidate.version) {
                aspired.gone_since.get_or_insert_with(Instant::now);
            }
        }
        for (version, candidate) in candidates {
            match model.aspired.get_mut(&version) {
                Some(same) if same.candidate == candidate => {
                    (same.gone_since, same.kept) = (None, false);
                    if same.needs_retry() {
                        same.stage = Stage::New;
                    }
                }
                Some(other) => *other = other.replaced_by(candidate),
                None => {
                    model.aspired.insert(version, VersionHarness::new(candidate));
                }
            }
        }
    }

    /// Removes versions whose files are gone: at once if they do not serve, else after the grace period.
    fn reconcile_removals(&mut self, name: &ModelName, presence: Presence) {
        let grace = Duration::from_millis(self.parts.settings.models.removal_grace_ms);
        let when_removed = self.parts.settings.models.when_removed;
        let mut kept = Vec::new();
        let Some(model) = self.models.get_mut(name) else { return };
        let loaded = &model.loaded;
        model.aspired.retain(|version, aspired| {
            let Some(since) = aspired.gone_since else { return true };
            let serves = loaded.contains_key(version);
            if serves && since.elapsed() >= grace && when_removed == WhenRemoved::Keep {
                if !aspired.kept {
                    kept.push(*version);
                }
                aspired.kept = true;
            }
            let must_stay = presence != Presence::FastRequest || when_removed == WhenRemoved::Keep;
            serves && (must_stay || since.elapsed() < grace)
        });
        for version in kept {
            tracing::warn!(model.name = %name, model.version = %version, "its file is gone; the version keeps serving");
            let entry = HistoryEntry::of(name, version, Event::Kept, "repository".to_owned());
            self.parts.history.add(entry);
        }
    }

    /// Refuses candidates that cannot even be tried.
    fn reconcile_defects(&mut self, name: &ModelName) {
        let patience = self.patience();
        let Some(model) = self.models.get(name) else { return };
        let defects: Vec<(ModelVersion, Refusal)> = model
            .aspired
            .iter()
            .filter_map(|(version, aspired)| Some((*version, aspired.defect(patience)?)))
            .collect();
        for (version, refusal) in defects {
            self.refuse(name, version, None, &refusal);
        }
    }

    /// Starts the first hash of every new file that changed a moment ago.
    fn hash_new(&mut self, name: &ModelName) {
        let patience = self.patience();
        let Some(model) = self.models.get_mut(name) else { return };
        for aspired in model.aspired.values_mut() {
            let new = matches!(aspired.stage, Stage::New) && aspired.candidate.defect.is_none();
            if new && !aspired.is_old(patience) {
                aspired.stage = Stage::Hashing;
                aspired.work = self.workers.give(aspired.candidate.clone(), Work::Hash);
            }
        }
    }
}
