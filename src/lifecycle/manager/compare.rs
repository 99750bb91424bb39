//! Comparison of a deployment on trial with the previous one, and rollback if that one answers what this one does not.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Manager, Message};
use crate::{
    lifecycle::{FailureMonitor, Refusal, Verdict, failure_monitor::Taken, replay::Replay},
    model::{Digest, ModelName},
    runtime::{RunOptions, STACK_BYTES},
    system::{memory, priority},
};

/// Time limit of a comparison, even with fewer samples tried.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Limit of checking and loading the copy, as a multiple of the loading time that the proof measured.
const LOADING_PATIENCE: u32 = 5;

/// Loading a model takes up to this many times the memory of its session.
const LOAD_FACTOR: u64 = 2;

/// The deployment that is compared: a model and the content of its files.
type OnTrial = (ModelName, Digest);

/// A comparison in progress. Dropping it terminates the run in progress.
pub(super) struct Comparison {
    monitored: OnTrial,
    options: Arc<RunOptions>,
    deadline: Instant,
}

/// The result of a comparison.
pub(in crate::lifecycle) struct Compared {
    taken: Taken,
    /// The content of the previous deployment.
    before: Digest,
    answered: Result<Vec<Option<bool>>, Refusal>,
    took: Duration,
}

impl Drop for Comparison {
    fn drop(&mut self) {
        // Terminating a run that has already ended does no harm.
        if let Err(error) = self.options.terminate() {
            tracing::warn!(error = error.message(), "failed to cancel a comparison");
        }
    }
}

impl Manager {
    /// Queues the comparison of a deployment with the previous one; one runs at a time.
    pub(super) fn compare(&mut self, name: ModelName, content: Digest) {
        self.to_compare.push_back((name, content));
        self.begin_comparison();
    }

    /// Starts the next comparison, and terminates one that takes too long.
    pub(super) fn begin_comparison(&mut self) {
        if let Some(running) = &self.comparison {
            if Instant::now() >= running.deadline
                && let Err(error) = running.options.terminate()
            {
                tracing::warn!(error = error.message(), "failed to cancel a comparison");
            }
            return;
        }
        while let Some(monitored) = self.to_compare.pop_front() {
            let Some(monitor) = self.monitor_of(&monitored) else {
                self.rest_other_monitors(&monitored);
                continue;
            };
            match self.start_comparison(&monitored, &monitor) {
                Ok(Some(comparison)) => {
                    self.comparison = Some(comparison);
                    return;
                }
                Ok(None) => monitor.rest(Duration::ZERO),
                Err(problem) => {
                    tracing::error!(model.name = %monitored.0, "too many requests fail, and {problem}");
                    monitor.rest(Duration::ZERO);
                }
            }
        }
    }

    /// Returns the trial of a deployment. `None` if requests without a version get another one now.
    fn monitor_of(&self, (name, content): &OnTrial) -> Option<Arc<FailureMonitor>> {
        let current = self.models.get(name)?.current()?;
        (current.content() == *content).then(|| Arc::clone(&current.monitor))
    }

    /// Rests the trial of a deployment that does not serve requests without a version now, so that it can be compared
    /// if it does later.
    fn rest_other_monitors(&self, (name, content): &OnTrial) {
        let loaded = self.models.get(name).into_iter().flat_map(|model| model.loaded().values());
        loaded
            .filter(|servable| servable.content() == *content)
            .for_each(|servable| servable.monitor.rest(Duration::ZERO));
    }

    /// Starts a comparison. `None` if there is nothing left to compare.
    fn start_comparison(
        &self,
        monitored: &OnTrial,
        monitor: &FailureMonitor,
    ) -> Result<Option<Comparison>, String> {
        let previous = self.models.get(&monitored.0).and_then(|model| model.previous().last());
        let (deployment, snapshot) = previous.ok_or("there is no deployment to roll back to")?;
        let needed = deployment.proof.costs.session_bytes.saturating_mul(LOAD_FACTOR);
        if memory::bytes_left(self.parts.settings.runtime.memory_limit_bytes, 0)
            .is_some_and(|left| left < needed)
        {
            return Err(format!(
                "comparing with the previous deployment takes {} MiB, more than is left",
                needed >> 20
            ));
        }
        let options = RunOptions::new().map_err(|error| error.message().to_owned())?;
        let Some(taken) = monitor.take() else { return Ok(None) };
        let loading = Duration::from_micros(deployment.proof.costs.load_us) * LOADING_PATIENCE;
        let (options, deadline) = (Arc::new(options), Instant::now() + loading + TIME_LIMIT);
        let replay = Replay {
            runtime: self.parts.runtime,
            snapshot: Arc::clone(snapshot),
            proof: deployment.proof.clone(),
            options: Arc::clone(&options),
            deadline,
        };
        let messages = self.parts.messages.clone();
        let run = move || {
            // A comparison must not slow down requests.
            priority::set_niceness(priority::Niceness::Background);
            let start = Instant::now();
            let answered = replay.run(&taken.samples);
            let (before, took) = (replay.snapshot.content(), start.elapsed());
            // The manager is gone only while the gateway shuts down.
            let _ = messages.send(Message::Compared(Box::new(Compared { taken, before, answered, took })));
        };
        let thread = thread::Builder::new().name("comparison".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(run).map_err(|error| format!("no thread could be started for a comparison: {error}"))?;
        Ok(Some(Comparison { monitored: monitored.clone(), options, deadline }))
    }

    /// Rolls back if the previous deployment answers what the one on trial does not.
    pub(super) fn finish_comparison(&mut self, compared: &Compared) {
        let Some(monitored) = self.comparison.take().map(|comparison| comparison.monitored.clone()) else {
            return;
        };
        // The sessions of the comparison are gone, so their memory can be returned.
        self.needs_trim = true;
        match self.monitor_of(&monitored) {
            Some(monitor) => {
                if !self.roll_back_failing(&monitored, &monitor, compared) {
                    monitor.rest(compared.took);
                }
            }
            None => self.rest_other_monitors(&monitored),
        }
        self.begin_comparison();
    }

    /// Returns true if the deployment was rolled back.
    fn roll_back_failing(
        &mut self,
        (name, _): &OnTrial,
        monitor: &FailureMonitor,
        compared: &Compared,
    ) -> bool {
        let Compared { taken, before, answered, .. } = compared;
        let answered = match answered {
            Ok(answered) => answered,
            Err(refusal) => {
                tracing::error!(model.name = %name, "it cannot be compared with the previous deployment: {refusal}");
                return false;
            }
        };
        let previous = self.models.get(name).and_then(|model| model.previous().last());
        if previous.is_none_or(|(deployment, _)| deployment.content != *before) {
            return false;
        }
        let verdict = monitor.judge(taken, answered);
        let detail = verdict.detail();
        if !verdict.takes_back {
            log_stay(name, &verdict, &detail);
            return false;
        }
        match self.roll_back(name, "automatic", Some(detail)) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(
                    model.name = %name, %error,
                    "too many requests fail, and there is no deployment to roll back to"
                );
                false
            }
        }
    }
}

fn log_stay(name: &ModelName, verdict: &Verdict, detail: &str) {
    if verdict.is_one_caller {
        tracing::warn!(
            model.name = %name,
            "kept the deployment, as only the requests of one caller fail: {detail}"
        );
    } else {
        tracing::info!(model.name = %name, "kept the deployment: {detail}");
    }
}
