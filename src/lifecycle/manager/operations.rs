//! Operations requested by operators, and the automatic rollback.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{
        Deployment, FailureMonitor, OperationError, Refusal, RolledBack, Servable, Snapshot,
        history::{Event, HistoryEntry},
        operation::Operation,
    },
    model::ModelName,
};

impl Manager {
    /// Carries out an operation. Returns true if the repository needs a scan.
    pub(super) fn operate(&mut self, name: &ModelName, operation: Operation, by: &str) -> bool {
        // Changes by other gateways come first.
        self.keep_state();
        // A failed reply is ignored: a client that hung up does not miss it, and the status has the result.
        match operation {
            Operation::Load { allow_breaking_changes, reply } => {
                let at = self.moment();
                let model = self.models.entry(name.clone()).or_default();
                model.request_load(by, allow_breaking_changes, reply, at);
                // However the load ends, a restart must not bring back the refusals that were forgotten.
                self.remember(name);
                // A model known only by the request would be forgotten before the next scan.
                self.parts.source.doubt(Some(name.as_str()));
                self.scan();
                false
            }
            Operation::Unload { reply } => {
                let done = self.unload_by_request(name, by);
                self.publish_status(std::slice::from_ref(name), None);
                self.parts.history.keep_written();
                let _ = reply.send(done);
                false
            }
            Operation::Rollback { reply } => {
                let done = self.roll_back(name, by, None);
                self.publish_status(std::slice::from_ref(name), None);
                self.parts.history.keep_written();
                let _ = reply.send(done);
                false
            }
        }
    }

    fn unload_by_request(&mut self, name: &ModelName, by: &str) -> Result<(), OperationError> {
        let keep = self.parts.settings.models.keep_previous;
        let at = self.moment();
        let model = self.models.get_mut(name).ok_or_else(|| OperationError::ModelNotFound(name.clone()))?;
        let out = model.unload_by_request(keep, at);
        let replies = model.end_load_request();
        self.publish_serving_map(name);
        tracing::info!(model.name = %name, by, "a model was unloaded by request");
        for servable in out {
            self.parts.history.add(HistoryEntry {
                digest: Some(servable.digest().to_string()),
                ..HistoryEntry::of(name, servable.version, Event::Unloaded, by.to_owned())
            });
            self.retired.push(servable);
        }
        for reply in replies {
            let _ = reply.send(Err(OperationError::Unloaded(name.clone())));
        }
        Ok(())
    }

    /// Replies to the clients that requested a load, once the version that serves is decided.
    pub(super) fn reply_to_load(&mut self, name: &ModelName) {
        let at = self.moment();
        let Some(model) = self.models.get_mut(name) else { return };
        let Some(outcome) = model.load_outcome(name, at) else { return };
        let replies = model.end_load_request();
        self.publish_status(std::slice::from_ref(name), None);
        self.parts.history.keep_written();
        for reply in replies {
            let _ = reply.send(outcome.clone());
        }
    }

    /// Puts the previous deployment into service in one atomic store, and blocks the current content.
    pub(super) fn roll_back(
        &mut self,
        name: &ModelName,
        by: &str,
        detail: Option<String>,
    ) -> Result<RolledBack, OperationError> {
        let nothing = || OperationError::NothingBefore(name.clone());
        let model = self.models.get(name).ok_or_else(|| OperationError::ModelNotFound(name.clone()))?;
        // There is no current version if the last one was unloaded or could not be restored.
        let bad = model.current().cloned();
        let (target, snapshot) = model.previous().last().cloned().ok_or_else(nothing)?;
        let good = self.servable_before(name, &target, &snapshot).map_err(OperationError::Refused)?;
        if let Some(model) = self.models.get_mut(name) {
            model.forget_last_previous();
        }
        let digest = good.digest();
        self.put_before(name, &good, bad.as_ref());
        let replaces = bad.map(|bad| bad.digest());
        let response = RolledBack { version: target.version, digest, replaces };
        self.parts
            .metrics
            .model_rolled_back(name.as_str(), if by == "automatic" { "automatic" } else { "request" });
        tracing::warn!(
            model.name = %name,
            model.version = %response.version,
            model.digest = response.digest.short(),
            model.replaces = replaces.map(|digest| digest.short()),
            by,
            "rolled back{}", detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
        );
        self.parts.history.add(HistoryEntry {
            digest: Some(response.digest.to_string()),
            replaces: replaces.map(|digest| digest.to_string()),
            detail,
            ..HistoryEntry::of(name, response.version, Event::RolledBack, by.to_owned())
        });
        Ok(response)
    }

    /// Loads the previous deployment, unless it is still loaded.
    pub(super) fn servable_before(
        &self,
        name: &ModelName,
        target: &Deployment,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Arc<Servable>, Refusal> {
        let model = self.models.get(name);
        model.map_or(Ok(()), |model| model.check_copy(snapshot))?;
        let loaded = model.and_then(|model| model.loaded().get(&target.version));
        if let Some(loaded) = loaded.filter(|one| one.content() == target.content) {
            return Ok(Arc::clone(loaded));
        }
        let (proof, identity) = (target.proof.clone(), (name, target.version));
        self.servable(identity, Arc::clone(snapshot), proof, FailureMonitor::without_comparison())
            .map(Arc::new)
    }

    /// Puts the previous deployment into service, and blocks the content that was rolled back.
    pub(super) fn put_before(&mut self, name: &ModelName, good: &Arc<Servable>, bad: Option<&Arc<Servable>>) {
        let keep = self.parts.settings.models.keep_previous;
        let at = self.moment();
        let Some(model) = self.models.get_mut(name) else { return };
        let out = model.roll_back_to(good, bad, keep, at);
        self.publish_serving_map(name);
        self.retired.extend(out);
    }
}
