//! What operators ask for, and going back without being asked.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{
        OperationError, Reason, Refusal, RolledBack, Servable, Trial,
        history::{Event, HistoryEntry},
        operation::Operation,
        policy::Standing,
        record::{LoadRequest, Stage},
    },
    model::{Digest, ModelName},
};

impl Manager {
    /// Does what an operator asks for; whether the repository is to be looked at.
    pub(super) fn operate(&mut self, name: &ModelName, operation: Operation, by: &str) -> bool {
        // Who gave up waiting for the answer does not miss it; who did not finds it in the status.
        match operation {
            Operation::Load { allow_breaking_changes, reply } => {
                let model = self.models.entry(name.clone()).or_default();
                model.forget_refusals();
                let request = model.load_request.get_or_insert_with(|| LoadRequest {
                    by: by.to_owned(),
                    allow_breaking_changes,
                    replies: Vec::new(),
                });
                request.allow_breaking_changes |= allow_breaking_changes;
                request.replies.push(reply);
                // However the loading ends, a restart is not to bring back what was forgotten.
                self.remember(name);
                // Known only because it was asked for, it would be forgotten before it is looked for.
                self.look();
                false
            }
            Operation::Unload { reply } => {
                let done = match self.models.get_mut(name) {
                    Some(model) => {
                        model.unloaded = true;
                        Ok(())
                    }
                    None => Err(OperationError::ModelNotFound(name.clone())),
                };
                if done.is_ok() {
                    tracing::info!(model.name = %name, by, "a model is unloaded by request");
                    self.unload_all(name, by);
                }
                self.publish(None);
                let _ = reply.send(done);
                false
            }
            Operation::Rollback { reply } => {
                let done = self.roll_back(name, by, None);
                self.publish(None);
                let _ = reply.send(done);
                false
            }
        }
    }

    fn unload_all(&mut self, name: &ModelName, by: &str) {
        let keep = self.parts.settings.models.keep_previous;
        let Some(model) = self.models.get_mut(name) else { return };
        let before = model.current().cloned();
        let loaded = std::mem::take(&mut model.loaded);
        model.note_previous(before, keep);
        for aspired in model.aspired.values_mut().filter(|aspired| matches!(aspired.stage, Stage::Loaded)) {
            aspired.stage = Stage::New;
        }
        self.serve(name);
        for (version, servable) in loaded {
            self.parts.history.add(HistoryEntry {
                digest: Some(servable.digest().to_string()),
                ..HistoryEntry::of(name, version, Event::Unloaded, by.to_owned())
            });
            self.retired.push(servable);
        }
    }

    /// Tells whoever asked for a load how it ended, once nothing is under way any more.
    pub(super) fn answer_load_request(&mut self, name: &ModelName) {
        let patience = self.patience();
        let Some(model) = self.models.get_mut(name) else { return };
        let under_way =
            |standing| matches!(standing, Standing::Unsettled | Standing::Trying | Standing::Proven);
        if model.load_request.is_none()
            || model.aspired.values().any(|aspired| under_way(aspired.standing(patience)))
        {
            return;
        }
        let newest = model.aspired.values().next_back();
        let outcome = match (newest.map(|aspired| &aspired.stage), &model.config_problem) {
            (None, _) => Err(OperationError::ModelNotFound(name.clone())),
            (_, Some(problem)) => {
                Err(OperationError::Refused(Refusal::new(Reason::InvalidConfig, problem.clone())))
            }
            (Some(Stage::Refused(refusal, _)), None) => Err(OperationError::Refused(refusal.clone())),
            (Some(_), None) => Ok(()),
        };
        let replies = model.load_request.take().map(|request| request.replies).unwrap_or_default();
        self.publish(None);
        for reply in replies {
            let _ = reply.send(outcome.clone());
        }
    }

    /// Goes back if it is this content that serves.
    pub(super) fn roll_back_failing(&mut self, name: &ModelName, content: Digest) {
        let current = self.models.get(name).and_then(|model| model.current());
        if current.is_none_or(|current| current.content() != content) {
            return;
        }
        let detail = "too many of its answers failed or were not finite";
        if let Err(error) = self.roll_back(name, "automatic", Some(detail.to_owned())) {
            tracing::error!(model.name = %name, %error, "too many answers fail, and there is no way back");
        }
    }

    /// Puts what served before into service again, in one store, and keeps what served from coming back by itself.
    fn roll_back(
        &mut self,
        name: &ModelName,
        by: &str,
        detail: Option<String>,
    ) -> Result<RolledBack, OperationError> {
        let model = self.models.get_mut(name).ok_or_else(|| OperationError::ModelNotFound(name.clone()))?;
        let bad = model.current().cloned();
        let nothing = || OperationError::NothingBefore(name.clone());
        let bad = bad.ok_or_else(nothing)?;
        let (target, snapshot) = model.previous.pop().ok_or_else(nothing)?;
        let loaded = model.loaded.get(&target.version).filter(|one| one.content() == target.content).cloned();
        let good: Arc<Servable> = if let Some(servable) = loaded {
            servable
        } else {
            let trial = Trial::new(&self.parts.settings.rollback, None);
            let (proof, identity) = (target.proof.clone(), (name, target.version));
            match self.servable(identity, Arc::clone(&snapshot), proof, trial) {
                Ok(servable) => Arc::new(servable),
                Err(refusal) => {
                    if let Some(model) = self.models.get_mut(name) {
                        model.previous.push((target, snapshot));
                    }
                    return Err(OperationError::Refused(refusal));
                }
            }
        };
        let Some(model) = self.models.get_mut(name) else { return Err(nothing()) };
        if bad.version != target.version {
            model.loaded.remove(&bad.version);
        }
        let replaced = model.loaded.insert(target.version, Arc::clone(&good));
        model.rolled_back.insert(bad.content());
        let refusal = model.refusal_of(bad.version, bad.content());
        for aspired in model.aspired.values_mut() {
            if aspired.candidate.version == bad.version
                && matches!(aspired.stage, Stage::Loaded)
                && let Some(refusal) = &refusal
            {
                aspired.stage = Stage::Refused(refusal.clone(), std::time::Instant::now());
            }
        }
        self.serve(name);
        let answer = RolledBack { version: target.version, digest: good.digest(), replaces: bad.digest() };
        self.retired.extend(replaced.filter(|replaced| !Arc::ptr_eq(replaced, &good)));
        self.retired.push(bad);
        self.parts
            .metrics
            .model_rolled_back(name.as_str(), if by == "automatic" { "automatic" } else { "request" });
        tracing::warn!(
            model.name = %name,
            model.version = %answer.version,
            model.digest = answer.digest.short(),
            model.replaces = answer.replaces.short(),
            by,
            "rolled back{}", detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
        );
        self.parts.history.add(HistoryEntry {
            digest: Some(answer.digest.to_string()),
            replaces: Some(answer.replaces.to_string()),
            detail,
            ..HistoryEntry::of(name, answer.version, Event::RolledBack, by.to_owned())
        });
        Ok(answer)
    }
}
