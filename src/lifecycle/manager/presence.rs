//! A repository that loses all its models at once: a failed mount rather than an intention.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::Manager;
use crate::{config::WhenRemoved, lifecycle::RepositoryScan};

/// Interpretation of files that a scan does not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// They were removed.
    Normal,
    /// All models vanished at once.
    Emptied,
    /// Files return after that, perhaps one after another.
    Returning,
}

/// The return of files to a repository that lost all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    versions: usize,
    /// Time when their number last grew.
    since: Instant,
}

impl Manager {
    /// Distinguishes a repository that lost all its models from one of which some were removed.
    pub(super) fn update_presence(&mut self, found: &RepositoryScan) -> Presence {
        let versions = found.models.values().map(|model| model.candidates.len()).sum();
        let models = &self.parts.settings.models;
        let serves = || self.models.values().any(|model| !model.loaded().is_empty());
        if versions == 0
            && found.unreadable.is_empty()
            && models.when_emptied == WhenRemoved::Keep
            && serves()
        {
            self.returning = Some(Return { versions, since: Instant::now() });
            return Presence::Emptied;
        }
        let grace = Duration::from_millis(models.removal_grace_ms);
        let Some(before) = self.returning else { return Presence::Normal };
        if before.versions == 0 {
            tracing::info!("models.repository holds models again");
        }
        let has_grown = versions > before.versions;
        let since = if has_grown { Instant::now() } else { before.since };
        // Copying takes time: what is still missing gets the same grace period as a file that vanishes.
        let is_over = !has_grown && since.elapsed() >= grace;
        self.returning = (!is_over).then_some(Return { versions, since });
        if is_over { Presence::Normal } else { Presence::Returning }
    }

    /// Updates the metric and the readiness of the repository.
    pub(super) fn report_repository(&self, is_available: bool) {
        self.parts.metrics.set_repository_available(is_available);
        let is_missed = !is_available && self.parts.settings.models.require_repository;
        self.parts.lacks_repository.store(is_missed, Ordering::Relaxed);
    }
}
