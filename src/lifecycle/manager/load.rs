//! The steps of a version from a new file into service.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Manager, Message,
    workers::{Done, WorkResult},
};
use crate::{
    lifecycle::{
        FailureMonitor, LoadedCopy, OutputSize, PrepareRows, Proof, Refusal, ResponseParts, SchedulerConfig,
        Servable, Snapshot, Stamp,
        history::{Event, HistoryEntry},
        managed_model::ManagedModel,
        schedule,
        version_harness::{Admitted, Outcome, VersionEvent},
    },
    model::{Digest, FlatLayout, ModelName, ModelVersion, Schedule},
    runtime::{Options, Runtime, Scheduler},
    system::memory,
    telemetry::Seconds,
};

impl Manager {
    /// Continues with a candidate once a worker has finished a job for it.
    pub(super) fn finish(&mut self, done: Done) {
        let Done { model: name, version, number, result, duration_ms } = done;
        self.pending.change(&name);
        let Some(model) = self.models.get(&name) else { return };
        let outcome = match result {
            WorkResult::Hashed(Ok(Some(hash))) => Outcome::Hashed(hash),
            WorkResult::Hashed(Ok(None)) | WorkResult::Copied(Ok(None)) => Outcome::Changed,
            WorkResult::Hashed(Err(refusal)) | WorkResult::Copied(Err(refusal)) => Outcome::Unusable(refusal),
            WorkResult::Copied(Ok(Some(snapshot))) => {
                let content = snapshot.content();
                model.copied(version, snapshot, || {
                    let known = self.parts.store.deployment_of(&name, content);
                    known.map(|deployment| deployment.proof).filter(Proof::is_of_this_gateway)
                })
            }
            WorkResult::Proven(snapshot, Ok(proof)) => model.proven(version, snapshot, *proof),
            WorkResult::Proven(snapshot, Err(refusal)) => Outcome::Disproven { snapshot, refusal },
        };
        self.transition(&name, version, VersionEvent::Finished { job: number, duration_ms, outcome });
    }

    /// Loads a proven version and puts it into service, unless another gateway rolled it back meanwhile.
    pub(super) fn begin_load(&mut self, name: &ModelName, version: ModelVersion) {
        self.follow();
        self.transition(name, version, VersionEvent::LoadDue);
    }

    /// Loads a copy and puts it into service.
    pub(super) fn load(&mut self, name: &ModelName, version: ModelVersion, admitted: Admitted) {
        let keep = self.parts.settings.models.keep_previous;
        let Admitted { snapshot, proof } = admitted;
        let replaced = self.models.get(name).and_then(ManagedModel::replaced);
        let start = Instant::now();
        let monitor = self.monitor((name, snapshot.content()), replaced.map(|(_, share)| share));
        let loaded = self.servable((name, version), Arc::clone(&snapshot), proof, monitor);
        let servable = match loaded {
            Ok(servable) => Arc::new(servable),
            Err(refusal) => {
                let refusal = Refusal::of_lost_copy(&snapshot).unwrap_or(refusal);
                let failed =
                    VersionEvent::LoadFailed { snapshot: Arc::clone(&snapshot), refusal: refusal.clone() };
                self.transition(name, version, failed);
                return self.restore_availability(name, &snapshot, &refusal);
            }
        };
        let load_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(model) = self.models.get_mut(name) else { return };
        let out = model.put(Arc::clone(&servable), keep);
        let by = model.wanted_by();
        self.transition(name, version, VersionEvent::Loaded { load_ms });
        let timings = self.models.get(name).map(|model| model.timings(version)).unwrap_or_default();
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
    fn monitor(&self, (name, content): (&ModelName, Digest), before: Option<f64>) -> FailureMonitor {
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
        if let Some(model) = self.models.get_mut(name).filter(|model| model.is_evicted()) {
            model.block(snapshot.content(), refusal);
            let detail = "the version for which it was evicted could not be loaded";
            if let Err(error) = self.roll_back(name, "automatic", Some(detail.to_owned())) {
                tracing::error!(model.name = %name, %error, "failed to restore the evicted version");
            }
        }
    }

    /// Loads a copy, with the instances and threads that the scheduler configuration now asks for.
    pub(super) fn servable(
        &self,
        (name, version): (&ModelName, ModelVersion),
        snapshot: Arc<Snapshot>,
        proof: Proof,
        monitor: FailureMonitor,
    ) -> Result<Servable, Refusal> {
        let settings = &self.parts.settings.runtime;
        let config = self.models.get(name).map(|model| model.config().scheduler.clone()).unwrap_or_default();
        let available = memory::bytes_left(settings.memory_limit_bytes, 0);
        let schedule = schedule::decide(settings, &config, &proof, Runtime::cpus(), available)?;
        let inference_seconds = self.parts.metrics.inference_seconds(name.as_str());
        let copy = Copy {
            name,
            version,
            snapshot,
            proof,
            monitor,
            inference_seconds,
            schedule,
            scheduled_by: config,
        };
        copy.load(self.parts.runtime, self.parts.prepare_rows)
    }
}

/// A copy to load, and how.
struct Copy<'n> {
    name: &'n ModelName,
    version: ModelVersion,
    snapshot: Arc<Snapshot>,
    proof: Proof,
    monitor: FailureMonitor,
    inference_seconds: Seconds,
    schedule: Schedule,
    /// The configuration that `schedule` was derived from.
    scheduled_by: SchedulerConfig,
}

impl Copy<'_> {
    fn load(self, runtime: Runtime, prepare_rows: PrepareRows) -> Result<Servable, Refusal> {
        let Self { name, version, snapshot, proof, monitor, inference_seconds, schedule, scheduled_by } =
            self;
        let LoadedCopy { instances, contract, layout } =
            LoadedCopy::load(runtime, &snapshot, &proof, &schedule)?;
        let constants = proof.output_forms.constants();
        let scheduler = Scheduler::new(instances, options(&schedule, &proof), constants.clone())?;
        let signature = proof.signature.clone();
        let flat = layout.as_ref().filter(|_| !proof.divides);
        let flat = flat.and_then(|layout| FlatLayout::of(layout, &contract));
        let rows_writer = layout.as_ref().map(|layout| {
            let (signature, contract) = (&signature, &contract);
            prepare_rows(ResponseParts { name: name.as_str(), version, signature, contract, layout })
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
            rows_writer,
            inference_seconds,
            monitor: Arc::new(monitor),
            statistics: Arc::default(),
            proof,
            scheduled_by,
            snapshot,
        })
    }
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
