//! Publication of state to the status, the metrics, the log and the history.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{
        Refusal, State, VersionStatus,
        history::{Event, HistoryEntry},
        managed_model::ManagedModel,
    },
    model::{Digest, ModelName, ModelVersion},
};

impl Manager {
    /// Reports that a version was refused.
    pub(super) fn report_refusal(
        &self,
        name: &ModelName,
        version: ModelVersion,
        digest: Option<Digest>,
        refusal: &Refusal,
    ) {
        tracing::warn!(
            model.name = %name,
            model.version = %version,
            model.digest = digest.map(|digest| digest.short()),
            reason = refusal.reason.code(),
            "a version was refused: {}{}", refusal.detail,
            if refusal.reason.is_passing() { "; it is tried again" } else { "" }
        );
        self.parts.metrics.model_refused(name.as_str(), refusal.reason.code());
        let by = self.models.get(name).map(ManagedModel::wanted_by).unwrap_or_default();
        self.parts.history.add(HistoryEntry {
            digest: digest.map(|digest| digest.to_string()),
            reason: Some(refusal.reason),
            detail: Some(refusal.detail.clone()),
            ..HistoryEntry::of(name, version, Event::Refused, by)
        });
    }

    /// Reports that a version serves on without its files.
    pub(super) fn report_kept(&self, name: &ModelName, version: ModelVersion) {
        tracing::warn!(model.name = %name, model.version = %version, "its file is gone; the version keeps serving");
        let entry = HistoryEntry::of(name, version, Event::Kept, "repository".to_owned());
        self.parts.history.add(entry);
    }

    /// Logs a complaint that the last scan did not make.
    pub(super) fn complain(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) && !self.fresh_complaints.contains(&complaint) {
            tracing::warn!("{complaint}");
        }
        self.fresh_complaints.insert(complaint);
    }

    /// Publishes the status of these models. `busy` is the operation in progress on one of their versions.
    pub(super) fn publish_status(&mut self, names: &[ModelName], busy: Option<(ModelVersion, State)>) {
        let at = self.moment();
        let mut is_news = false;
        for name in names {
            let model = self.models.get(name);
            let mut status = model.map(|model| model.status(name, at)).unwrap_or_default();
            if let Some((version, state)) = busy {
                // A version in service stays ready while another file of the same number is loaded.
                let concerned = |status: &&mut VersionStatus| {
                    status.version == version && (status.state != State::Ready || state == State::Unloading)
                };
                status.iter_mut().filter(concerned).for_each(|status| status.state = state);
            }
            if self.told.get(name).map_or(&[][..], Vec::as_slice) == status {
                continue;
            }
            is_news = true;
            if status.is_empty() {
                self.told.remove(name);
            } else {
                self.told.insert(name.clone(), status);
            }
        }
        if is_news {
            self.parts.status.store(Arc::new(self.told.values().flatten().cloned().collect()));
        }
    }
}
