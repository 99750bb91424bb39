//! Scans of the repository, reconciled with what the manager knows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Manager, presence::Presence};
use crate::{
    config::WhenRemoved,
    lifecycle::{
        Candidate, Config, Notice, RepositoryScan, ScannedModel,
        managed_model::{ManagedModel, RemovalRules},
        notice::Grace,
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
                // A first download takes its time.
                if !self.parts.source.is_starting() {
                    let repository = self.parts.source.location();
                    self.complain(format!("models.repository: {repository} cannot be read: {error}"));
                }
                // Known notices are not logged again once the repository is readable.
                let told: Vec<String> = self.parts.notices.load().iter().map(ToString::to_string).collect();
                self.fresh_complaints.extend(told);
                self.report_repository(false);
            }
        }
        self.complaints = std::mem::take(&mut self.fresh_complaints);
    }

    /// Reconciles the models with a scan. Returns false if the repository is empty although models serve, or the scan is
    /// of an earlier time.
    fn reconcile(&mut self, found: RepositoryScan) -> bool {
        let presence = self.update_presence(&found);
        let RepositoryScan { mut models, unreadable, mut notices, advice, away } = found;
        let present: Vec<ModelName> = models.keys().cloned().collect();
        for name in models.keys() {
            self.models.entry(name.clone()).or_default();
        }
        let at = self.moment();
        // An unreadable entry says nothing about its files, and an unchanged one needs no work.
        let is_news = |(name, model): &(&ModelName, &ManagedModel)| {
            let is_same = models.get(*name).is_some_and(|found| found.is_same);
            !(unreadable.contains(name.as_str()) || (is_same && model.is_calm(at)))
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
            self.reconcile_candidates(&name, candidates, presence);
            self.pending.change(&name);
        }
        notices.extend(self.ineffective_settings(&present, advice.as_deref()));
        if presence == Presence::Emptied {
            notices.push(Notice::of_emptied_repository(&self.parts.source.location()));
        }
        notices.extend(away.as_ref().map(|reason| Notice::of_away(&self.parts.source.location(), reason)));
        self.reconcile_notices(notices);
        let loaded = self.models.values().flat_map(|model| model.loaded().values());
        loaded.for_each(|servable| servable.monitor.forget_when_over());
        presence != Presence::Emptied && away.is_none()
    }

    /// Collects notices of versions, labels and a default model that are configured but missing, and of a repository
    /// without models.
    fn ineffective_settings(&self, present: &[ModelName], advice: Option<&str>) -> Vec<Notice> {
        let known = |name: &ModelName| self.models.get(name).filter(|model| model.has_versions());
        let of_model = |name: &ModelName| {
            let model = known(name)?;
            // A configuration that is about to change is not reported.
            let is_settled = model.has_settled_config();
            is_settled.then(|| Notice::of_config(name, model.config(), |version| model.has_version(version)))
        };
        let default = self.parts.settings.models.default.as_ref().filter(|name| known(name).is_none());
        let is_empty = !self.models.values().any(ManagedModel::has_versions);
        let repository = is_empty.then(|| Notice::of_empty_repository(&self.parts.source.location(), advice));
        let of_models = present.iter().filter_map(of_model).flatten();
        of_models.chain(default.map(Notice::of_default)).chain(repository).collect()
    }

    /// Reports files and settings without effect, each once and after its grace period.
    fn reconcile_notices(&mut self, notices: Vec<Notice>) {
        let times = self.moment().times;
        let known: HashMap<Notice, Instant> = std::mem::take(&mut self.notices).into_iter().collect();
        let since = |notice: &Notice| known.get(notice).copied().unwrap_or_else(Instant::now);
        self.notices = notices.into_iter().map(|notice| (notice.clone(), since(&notice))).collect();
        let is_due = |(notice, since): &&(Notice, Instant)| {
            since.elapsed()
                >= match notice.grace {
                    Grace::None => Duration::ZERO,
                    Grace::Settling => times.settle,
                    Grace::Copying => times.incomplete,
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

    /// Applies a model's configuration, and reports once that it cannot be read.
    fn reconcile_config(&mut self, name: &ModelName, config: Config) {
        let at = self.moment();
        let grace = Duration::from_millis(self.parts.settings.models.removal_grace_ms);
        let model = self.models.get_mut(name);
        if let Some(problem) = model.and_then(|model| model.reconcile_config(config, grace, at)) {
            self.complain(format!("{name}: {problem}; nothing changes until it can be read"));
        }
    }

    /// Reconciles the versions of a model with the files found, and starts the first hash of new ones.
    fn reconcile_candidates(
        &mut self,
        name: &ModelName,
        candidates: BTreeMap<ModelVersion, Candidate>,
        presence: Presence,
    ) {
        let at = self.moment();
        let settings = &self.parts.settings.models;
        let rules = RemovalRules {
            grace: Duration::from_millis(settings.removal_grace_ms),
            keeps: settings.when_removed == WhenRemoved::Keep,
            may_return: presence != Presence::Normal,
        };
        if let Some(model) = self.models.get_mut(name) {
            let effects = model.reconcile(candidates, rules, at);
            self.carry_out(name, effects);
        }
    }
}
