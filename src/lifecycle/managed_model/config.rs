//! The configuration of a model: a changed one takes effect once its file has settled.

use std::{sync::Arc, time::Duration};

use super::ManagedModel;
use crate::lifecycle::{
    Config, ModelConfig, Reason, Servable,
    version_harness::{Moment, VersionEvent},
};

impl ManagedModel {
    /// Applies a changed configuration. Versions were loaded or refused under the old one, so the same files may now be
    /// judged differently.
    pub(in crate::lifecycle) fn configure(&mut self, config: Arc<ModelConfig>, at: Moment) {
        self.config_problem = None;
        let same = (&self.config.contract, &self.config.pin) == (&config.contract, &config.pin);
        let reschedules = self.config.scheduler != config.scheduler;
        let allows_more = config.allow_breaking_changes && !self.config.allow_breaking_changes;
        self.config = config;
        if reschedules {
            self.needs_reschedule = true;
            self.refused.retain(|_, refusal| refusal.reason != Reason::InvalidConfig);
        }
        let lifted = [(allows_more, Reason::IncompatibleSignature), (reschedules, Reason::InvalidConfig)];
        for (_, reason) in lifted.into_iter().filter(|(is_lifted, _)| *is_lifted) {
            self.on_each(|_, _| Some(VersionEvent::RefusalLifted(Some(reason))), at);
        }
        if !same {
            self.on_each(|_, _| Some(VersionEvent::Reconfigured), at);
        }
    }

    /// Applies the configuration that a scan found once its file has settled. An editor may be writing it, so its absence
    /// counts only after the removal grace period. Returns the reason why it cannot be read, once.
    pub(in crate::lifecycle) fn reconcile_config(
        &mut self,
        config: Config,
        grace: Duration,
        at: Moment,
    ) -> Option<String> {
        let holds = match (&config, &self.config_problem) {
            (Ok(config), None) => *config == self.config,
            (Err(problem), Some(known)) => problem == known,
            _ => false,
        };
        if holds && self.is_configured {
            self.coming_config = None;
            return None;
        }
        let is_absent = config.as_ref().is_ok_and(|config| **config == ModelConfig::default());
        let needed = if is_absent { grace } else { at.times.settle };
        let since = match &self.coming_config {
            Some((coming, since)) if *coming == config => *since,
            _ => at.now,
        };
        if self.is_configured && at.since(since) < needed {
            self.coming_config = Some((config, since));
            return None;
        }
        (self.coming_config, self.is_configured) = (None, true);
        match config {
            Ok(config) => {
                self.configure(config, at);
                None
            }
            Err(problem) => {
                self.config_problem = Some(problem.clone());
                Some(problem)
            }
        }
    }

    /// Returns true if the present configuration is readable and in effect.
    pub(in crate::lifecycle) fn has_settled_config(&self) -> bool {
        self.coming_config.is_none() && self.config_problem.is_none()
    }

    /// Returns true if the present configuration cannot be read.
    pub(in crate::lifecycle) fn has_unreadable_config(&self) -> bool {
        self.config_problem.is_some()
    }

    /// Takes the versions whose scheduler configuration has changed since they were loaded, once.
    pub(in crate::lifecycle) fn take_outdated(&mut self) -> Vec<Arc<Servable>> {
        if !std::mem::take(&mut self.needs_reschedule) {
            return Vec::new();
        }
        let differs = |servable: &&Arc<Servable>| servable.scheduled_by != self.config.scheduler;
        self.loaded.values().filter(differs).cloned().collect()
    }
}
