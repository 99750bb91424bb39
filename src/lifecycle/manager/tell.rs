//! Telling what is so: in the status, the metrics, the log and the history.

use std::{sync::Arc, time::Instant};

use super::Manager;
use crate::{
    lifecycle::{
        Refusal, State, VersionStatus,
        aspired::Stage,
        history::{Event, HistoryEntry},
        record::Model,
    },
    model::{Digest, ModelName, ModelVersion},
};

impl Manager {
    /// Says that a candidate does not serve, and why; the same reason once more is no news.
    pub(super) fn refuse(
        &mut self,
        name: &ModelName,
        version: ModelVersion,
        digest: Option<Digest>,
        refusal: &Refusal,
    ) {
        let passing = refusal.reason.is_passing();
        let aspired = self.models.get_mut(name).and_then(|model| model.aspired.get_mut(&version));
        // By its reason alone, as the sentence may hold a figure that is another one each time.
        let mut news = true;
        if let Some(aspired) = aspired {
            let times =
                aspired.passing.filter(|(reason, _)| *reason == refusal.reason).map_or(0, |(_, times)| times);
            aspired.passing = passing.then_some((refusal.reason, times + 1));
            news = times == 0;
        }
        self.is_to_sweep = true;
        if news {
            tracing::warn!(
                model.name = %name,
                model.version = %version,
                model.digest = digest.map(|digest| digest.short()),
                reason = refusal.reason.code(),
                "a version was refused: {}{}", refusal.detail,
                if passing { "; it is tried again" } else { "" }
            );
            self.parts.metrics.model_refused(name.as_str(), refusal.reason.code());
            let by = self.models.get(name).map(Model::wanted_by).unwrap_or_default();
            self.parts.history.add(HistoryEntry {
                digest: digest.map(|digest| digest.to_string()),
                reason: Some(refusal.reason),
                detail: Some(refusal.detail.clone()),
                ..HistoryEntry::of(name, version, Event::Refused, by)
            });
        }
        if let Some(aspired) = self.models.get_mut(name).and_then(|model| model.aspired.get_mut(&version)) {
            aspired.stage = Stage::Refused(refusal.clone(), Instant::now());
        }
    }

    /// Logs what the last look did not complain of.
    pub(super) fn complain(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) && !self.fresh_complaints.contains(&complaint) {
            tracing::warn!("{complaint}");
        }
        self.fresh_complaints.insert(complaint);
    }

    /// Makes metrics and status say what is so; `busy` is what is being done right now.
    pub(super) fn publish(&self, busy: Option<(&ModelName, ModelVersion, State)>) {
        let patience = self.patience();
        let mut status: Vec<VersionStatus> =
            self.models.iter().flat_map(|(name, model)| model.status(name, patience)).collect();
        status.sort_by(|left, right| (&left.model, left.version).cmp(&(&right.model, right.version)));
        if let Some((model, version, state)) = busy {
            // A version in service stays so while another file of the same number is loaded.
            let concerned = |status: &&mut VersionStatus| {
                status.model == *model
                    && status.version == version
                    && (status.state != State::Ready || state == State::Unloading)
            };
            status.iter_mut().filter(concerned).for_each(|status| status.state = state);
        }
        if **self.parts.status.load() != status {
            self.parts.status.store(Arc::new(status));
        }
    }
}
