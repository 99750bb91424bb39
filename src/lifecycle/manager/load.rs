//! The steps of a version from a new file into service.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Manager, Message,
    workers::{Done, Work, WorkResult},
};
use crate::{
    lifecycle::{
        CopiedFile, FailureMonitor, Flat, OutputSize, Proof, Reason, Refusal, SchedulerConfig, Servable,
        Snapshot, Stamp,
        admission::child::contract_of,
        fingerprint::Fingerprint,
        history::{Event, HistoryEntry, Timings},
        managed_model::ManagedModel,
        schedule,
        version_harness::{Admitted, Stage},
    },
    model::{Digest, FlatLayout, ModelName, ModelVersion, Schedule},
    runtime::{Instance, Options, Runtime, Scheduler, SessionOptions},
    system::memory,
    telemetry::Seconds,
    wire::AnswerTemplate,
};

impl Manager {
    /// Starts the copy of a candidate's files.
    pub(super) fn begin_proof(&mut self, name: &ModelName, version: ModelVersion) {
        let Some(model) = self.models.get_mut(name) else { return };
        let (contract, pin) = (model.config.contract.clone(), model.config.pin.clone());
        let Some(aspired) = model.aspired.get_mut(&version) else { return };
        let hash = match aspired.stage {
            Stage::Hashed(hash) => Some(hash),
            _ => None,
        };
        aspired.stage = Stage::Copying;
        aspired.work = self.workers.give(aspired.candidate.clone(), Work::Copy { contract, pin, hash });
    }

    /// Continues with a candidate once a worker has finished a job for it.
    pub(super) fn finish(&mut self, done: Done) {
        let Done { candidate, number, result, duration_ms } = done;
        let (name, version) = (candidate.model, candidate.version);
        self.pending.change(&name);
        let model = self.models.get_mut(&name);
        let Some(aspired) = model.and_then(|model| model.aspired.get_mut(&version)) else { return };
        // Results for another file, or for another configuration, are discarded.
        let awaited = matches!(
            (&result, &aspired.stage),
            (WorkResult::Hashed(_), Stage::Hashing)
                | (WorkResult::Copied(_), Stage::Copying)
                | (WorkResult::Proven(..), Stage::Proving)
        );
        if aspired.work != number || !awaited {
            return;
        }
        match result {
            WorkResult::Hashed(Ok(Some(hash))) => aspired.stage = Stage::Hashed(hash),
            WorkResult::Hashed(Ok(None)) | WorkResult::Copied(Ok(None)) => {
                // It changed: the next scan finds it new, or gone.
                aspired.stage = Stage::New;
                aspired.seen_since = Instant::now();
                aspired.candidate.fingerprint = Fingerprint::default();
            }
            WorkResult::Copied(Ok(Some(snapshot))) => {
                aspired.timings.copy_ms = duration_ms;
                self.copied(&name, version, snapshot);
            }
            WorkResult::Proven(snapshot, Ok(proof)) => {
                aspired.timings.proof_ms = duration_ms;
                self.proven(&name, version, snapshot, *proof);
            }
            WorkResult::Hashed(Err(refusal)) | WorkResult::Copied(Err(refusal)) => {
                self.refuse(&name, version, None, &refusal);
            }
            WorkResult::Proven(snapshot, Err(refusal)) => {
                self.refuse_content(&name, version, &snapshot, &refusal);
            }
        }
    }

    fn refuse_content(
        &mut self,
        name: &ModelName,
        version: ModelVersion,
        snapshot: &Snapshot,
        refusal: &Refusal,
    ) {
        if let Some(model) = self.models.get_mut(name) {
            model.record_refusal(version, snapshot.content(), refusal);
        }
        self.refuse(name, version, Some(snapshot.digest()), refusal);
    }

    /// Continues with a copy: proves it, unless its content is known already.
    fn copied(&mut self, name: &ModelName, version: ModelVersion, snapshot: Arc<Snapshot>) {
        let patience = self.patience();
        let Some(model) = self.models.get_mut(name) else { return };
        if is_half_of_loaded(model, version, &snapshot)
            && let Some(aspired) = model.aspired.get_mut(&version).filter(|aspired| aspired.is_first())
        {
            aspired.is_half_replaced = true;
            if aspired.awaits_rest(patience) {
                aspired.stage = Stage::New;
                self.needs_sweep = true;
                return;
            }
        }
        let content = snapshot.content();
        let refusal = model.refusal_of(version, &snapshot);
        let known = model.known_proof(content).or_else(|| {
            // Another gateway may have proven it.
            let known = self.parts.store.deployment_of(name, content);
            known.map(|deployment| deployment.proof).filter(Proof::is_of_this_gateway)
        });
        let serves = model.loaded.get(&version).is_some_and(|servable| servable.content() == content);
        let Some(aspired) = model.aspired.get_mut(&version) else { return };
        match (serves, refusal, known) {
            (true, ..) => {
                aspired.stage = Stage::Loaded;
                // Rescheduling may have failed before for lack of memory.
                model.needs_reschedule = true;
            }
            // The refusal was logged when it was made.
            (false, Some(refusal), _) => {
                aspired.stage = Stage::Refused(refusal, Instant::now());
                self.needs_sweep = true;
            }
            (false, None, Some(proof)) => self.proven(name, version, snapshot, proof),
            (false, None, None) => {
                tracing::debug!(model.name = %name, model.version = %version, "started to prove a candidate");
                aspired.stage = Stage::Proving;
                aspired.work = self.workers.give(aspired.candidate.clone(), Work::Prove { snapshot });
            }
        }
    }

    /// Continues with a proof: the child found no fault, and compatibility with callers is checked here.
    fn proven(&mut self, name: &ModelName, version: ModelVersion, snapshot: Arc<Snapshot>, proof: Proof) {
        let Some(model) = self.models.get_mut(name) else { return };
        if let Some(refusal) = breaks_callers(model, version, &proof) {
            return self.refuse_content(name, version, &snapshot, &refusal);
        }
        if let Some(aspired) = model.aspired.get_mut(&version) {
            aspired.stage = Stage::Proven(Box::new(Admitted { snapshot, proof }));
        }
    }

    /// Loads a proven version and puts it into service.
    pub(super) fn load(&mut self, name: &ModelName, version: ModelVersion) {
        // Another gateway may have rolled it back while it was proven here.
        self.follow();
        let keep = self.parts.settings.models.keep_previous;
        let Some(model) = self.models.get_mut(name) else { return };
        let before = model.current().map(|old| (old.digest(), old.trial.failure_share()));
        let replaced = before.or(model.evicted);
        let Some(aspired) = model.aspired.get_mut(&version) else { return };
        let Stage::Proven(admitted) = std::mem::replace(&mut aspired.stage, Stage::New) else { return };
        let Admitted { snapshot, proof } = *admitted;
        if model.unloaded {
            return;
        }
        if let Some(refusal) = model.rolled_back_refusal(&snapshot) {
            return self.refuse(name, version, Some(snapshot.digest()), &refusal);
        }
        let start = Instant::now();
        let trial = self.trial((name, snapshot.content()), replaced.map(|(_, share)| share));
        let loaded = self.servable((name, version), Arc::clone(&snapshot), proof, trial);
        let servable = match loaded {
            Ok(servable) => Arc::new(servable),
            Err(refusal) => {
                let refusal = Refusal::of_lost_copy(&snapshot).unwrap_or(refusal);
                self.refuse_content(name, version, &snapshot, &refusal);
                return self.restore_availability(name, &snapshot, &refusal);
            }
        };
        let load_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(model) = self.models.get_mut(name) else { return };
        let out = model.exchange(Some(Arc::clone(&servable)), &[], None, keep);
        model.evicted = None;
        let by = model.wanted_by();
        let mut timings = Timings::default();
        if let Some(aspired) = model.aspired.get_mut(&version) {
            aspired.stage = Stage::Loaded;
            (aspired.timings.load_ms, aspired.passing) = (load_ms, None);
            timings = aspired.timings;
        }
        self.publish_serving_map(name);
        self.retired.extend(out);
        self.parts.metrics.model_swapped(name.as_str());
        // Loading takes a multiple of the memory that is kept.
        self.needs_trim = true;
        let replaces = replaced.map(|(digest, _)| digest);
        tracing::info!(
            model.name = %name,
            model.version = %version,
            model.digest = servable.digest().short(),
            model.replaces = replaces.map(|digest| digest.short()),
            proof_ms = timings.proof_ms,
            load_ms,
            "a version was put into service"
        );
        self.parts.history.add(HistoryEntry {
            digest: Some(servable.digest().to_string()),
            replaces: replaces.map(|digest| digest.to_string()),
            timings: Some(timings),
            ..HistoryEntry::of(name, version, Event::Deployed, by)
        });
    }

    /// Starts the trial of a content that replaces another. `before` is the share of failed responses of that one.
    fn trial(&self, (name, content): (&ModelName, Digest), before: Option<f64>) -> FailureMonitor {
        let (name, messages) = (name.clone(), self.parts.messages.clone());
        // The manager is gone only while the gateway shuts down.
        let alarm = move || drop(messages.send(Message::Failing(name.clone(), content)));
        before.map_or_else(FailureMonitor::without_comparison, |before| {
            FailureMonitor::new(&self.parts.settings.rollback, before, alarm)
        })
    }

    /// Restores the version that was evicted for one that then failed to load. That content does not evict a version
    /// again.
    fn restore_availability(&mut self, name: &ModelName, snapshot: &Snapshot, refusal: &Refusal) {
        let evicted = |model: &&mut ManagedModel| model.evicted.is_some() && model.loaded.is_empty();
        if let Some(model) = self.models.get_mut(name).filter(evicted) {
            model.block(snapshot.content(), refusal);
            let detail = "the version for which it was evicted could not be loaded";
            if let Err(error) = self.roll_back(name, "automatic", Some(detail.to_owned())) {
                tracing::error!(model.name = %name, %error, "failed to restore the evicted version");
            }
        }
    }

    /// Loads a copy, with the sessions and threads that the scheduler configuration now asks for.
    pub(super) fn servable(
        &self,
        (name, version): (&ModelName, ModelVersion),
        snapshot: Arc<Snapshot>,
        proof: Proof,
        trial: FailureMonitor,
    ) -> Result<Servable, Refusal> {
        let settings = &self.parts.settings.runtime;
        let config = self.models.get(name).map(|model| model.config.scheduler.clone()).unwrap_or_default();
        let available = memory::bytes_left(settings.memory_limit_bytes, 0);
        let schedule = schedule::decide(settings, &config, &proof, Runtime::cpus(), available)?;
        let inference_seconds = self.parts.metrics.inference_seconds(name.as_str());
        let watched = (trial, inference_seconds);
        load_copy(self.parts.runtime, (name, version), snapshot, proof, watched, (schedule, config))
    }
}

fn load_copy(
    runtime: Runtime,
    (name, version): (&ModelName, ModelVersion),
    snapshot: Arc<Snapshot>,
    proof: Proof,
    (trial, inference_seconds): (FailureMonitor, Seconds),
    (schedule, scheduled_by): (Schedule, SchedulerConfig),
) -> Result<Servable, Refusal> {
    let file = snapshot.file_to_load(proof.converted);
    let session = SessionOptions::from(&schedule);
    let load = || Instance::load(runtime, &file, &session);
    let first = load()?;
    let signature = first.signature().clone();
    // A compromised child could have reported anything about the model.
    let is_proven = signature == *proof.declared()
        && signature.is_alike_but_for_output_shapes(&proof.signature)
        && proof.output_forms.fit(signature.outputs.len());
    if !is_proven {
        let detail = "the model differs from its proof";
        return Err(Refusal::new(Reason::ProofFailed, detail));
    }
    let contract = contract_of(&first, snapshot.contract(), proof.contract.graph.clone())?;
    let layout = proof
        .layout_by(&contract)
        .map_err(|error| Refusal::new(Reason::InvalidContract, error.to_string()))?;
    let more = (1..schedule.instances).map(|_| load());
    let instances = std::iter::once(Ok(first)).chain(more).collect::<Result<Vec<_>, _>>()?;
    let constants = proof.output_forms.constants();
    let scheduler = Scheduler::new(instances, options(&schedule, &proof), constants.clone())?;
    let signature = proof.signature.clone();
    let flat = layout.as_ref().filter(|_| !proof.divides).and_then(|layout| {
        Some(Flat {
            layout: FlatLayout::of(layout, &contract)?,
            answers: AnswerTemplate::new(name.as_str(), version, &signature, &contract, layout),
        })
    });
    let stamp = Stamp { version: version.to_string().into(), digest: snapshot.digest().short().into() };
    Ok(Servable {
        name: name.clone(),
        version,
        output_size: OutputSize::of(&signature, &proof.output_forms),
        signature,
        constants,
        contract,
        layout: layout.map(Arc::new),
        scheduler,
        schedule,
        stamp,
        flat,
        inference_seconds,
        trial: Arc::new(trial),
        statistics: Arc::default(),
        proof,
        scheduled_by,
        snapshot,
    })
}

/// Derives the scheduler's options from schedule and measured costs.
fn options(schedule: &Schedule, proof: &Proof) -> Options {
    let costs = &proof.costs;
    let run_us = costs.run_threads_us.filter(|_| schedule.threads > 1).unwrap_or(costs.run_us);
    Options {
        mode: schedule.mode,
        batching: schedule.batching,
        max_batch_rows: schedule.max_batch_rows,
        max_delay: schedule.max_delay,
        queue_capacity: schedule.queue_capacity,
        run: Duration::from_micros(run_us),
        run_32_rows: costs.run_32_rows_us.map(Duration::from_micros),
    }
}

/// Returns true if some files of the copy are those of the version in service, and others are not.
fn is_half_of_loaded(model: &ManagedModel, version: ModelVersion, snapshot: &Snapshot) -> bool {
    model.loaded.get(&version).is_some_and(|servable| {
        let known = servable.snapshot.files();
        let is_known = |file: &CopiedFile| known.iter().any(|known| known == file);
        let same = snapshot.files().iter().filter(|file| is_known(file)).count();
        same > 0 && same < snapshot.files().iter().count()
    })
}

/// Returns the refusal of a version that would break callers of the one it replaces. `None` if there is none, or
/// breaking changes are allowed.
fn breaks_callers(model: &ManagedModel, version: ModelVersion, proof: &Proof) -> Option<Refusal> {
    let requested = model.load_request.as_ref().is_some_and(|request| request.allow_breaking_changes);
    let replaced = model.loaded.get(&version)?;
    if model.config.allow_breaking_changes || requested {
        return None;
    }
    Refusal::of_changes(&proof.interface().changes_from(&replaced.proof.interface()))
}
