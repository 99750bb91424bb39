//! Effects: what the manager does when the state of a version changes.

use super::{Manager, workers::Work};
use crate::{
    lifecycle::{
        managed_model::Effects,
        version_harness::{Effect, VersionEvent},
    },
    model::{ModelName, ModelVersion},
};

impl Manager {
    /// Applies an event to a version, and carries out the effects.
    pub(super) fn transition(&mut self, name: &ModelName, version: ModelVersion, event: VersionEvent) {
        let at = self.moment();
        if let Some(model) = self.models.get_mut(name) {
            let effects = model.on(version, event, at);
            self.carry_out(name, effects);
        }
    }

    /// Carries out the effects of a transition, in their order.
    pub(super) fn carry_out(&mut self, name: &ModelName, effects: Effects) {
        for (version, effect) in effects {
            match effect {
                Effect::Hash(candidate) => self.queue(name, version, Work::Hash(candidate)),
                Effect::Copy(candidate, hash) => {
                    let config =
                        self.models.get(name).map(|model| model.config().clone()).unwrap_or_default();
                    let (contract, pin) = (config.contract, config.pin);
                    self.queue(name, version, Work::Copy { candidate, contract, pin, hash });
                }
                Effect::Prove(snapshot) => {
                    tracing::debug!(model.name = %name, model.version = %version, "started to prove a candidate");
                    self.queue(name, version, Work::Prove(snapshot));
                }
                Effect::Load(admitted) => self.load(name, version, *admitted),
                Effect::ReportRefusal { digest, refusal } => {
                    self.report_refusal(name, version, digest, &refusal);
                }
                Effect::ReportKept => self.report_kept(name, version),
                Effect::Evaluate => self.pending.change(name),
                Effect::Sweep => self.needs_sweep = true,
            }
        }
    }

    /// Queues a job, whose result the version awaits from now on.
    fn queue(&mut self, name: &ModelName, version: ModelVersion, work: Work) {
        let job = self.workers.give(name.clone(), version, work);
        self.transition(name, version, VersionEvent::Queued(job));
    }
}
