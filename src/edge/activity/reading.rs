//! The counters as they were last read, from which the next sample counts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    Sources,
    changes::Known,
    sample::{GatewaySample, MemorySample, ModelSample, Quantiles, Sample, seconds},
};
use crate::{
    model::{ModelName, ModelVersion},
    serving::{Counts, Servable, Statistics},
    system::{byte_budget::BudgetUse, date::rfc3339},
    telemetry::{Buckets, Traffic},
};

/// The route of the streams themselves. A stream lasts for as long as somebody looks, so it is not counted.
const EVENTS: &str = "/events";

/// The label of requests to paths that do not exist.
const NO_ROUTE: &str = "none";

/// A reading of all counters.
#[derive(Debug)]
pub(super) struct Reading {
    at: Instant,
    versions: HashMap<(ModelName, ModelVersion), VersionReading>,
    traffic: Option<Traffic>,
    memory_refusals: u64,
    known: Known,
}

/// A reading of a version's counters.
#[derive(Debug)]
struct VersionReading {
    /// A version that is loaded again has others.
    statistics: Arc<Statistics>,
    counts: Counts,
    /// Durations of the runs of its model; empty if metrics are off.
    runs: Buckets,
}

impl VersionReading {
    fn of(servable: &Servable) -> Self {
        Self {
            statistics: Arc::clone(&servable.statistics),
            counts: servable.statistics.counts(),
            runs: servable.inference_seconds.buckets().unwrap_or_default(),
        }
    }

    /// Returns the activity before the first reading. `None` if there was none.
    fn since_it_was_loaded(&self, model: (ModelName, ModelVersion)) -> Option<ModelSample> {
        let sample = ModelSample::between(model, (&Counts::default(), &self.counts), None, 0);
        (sample.requests() > 0).then_some(sample)
    }

    /// Reads the counters of a version that is not in service any more. `None` if nothing has happened.
    fn last(&self, model: (ModelName, ModelVersion)) -> Option<ModelSample> {
        let counts = self.statistics.counts_after(&self.counts)?;
        Some(ModelSample::between(model, (&self.counts, &counts), None, 0))
    }

    /// Reads the counters again. `None` if nothing has happened.
    fn advance(&mut self, servable: &Servable) -> Option<ModelSample> {
        let waiting = servable.scheduler.requests_waiting();
        let counts = self.statistics.counts_after(&self.counts);
        if counts.is_none() && waiting == 0 {
            return None;
        }
        let model = (servable.name.clone(), servable.version);
        let Some(counts) = counts else {
            return Some(ModelSample::between(model, (&self.counts, &self.counts), None, waiting));
        };
        let runs = servable.inference_seconds.buckets();
        let recent = runs.as_ref().map(|runs| runs.since(&self.runs));
        let sample = ModelSample::between(model, (&self.counts, &counts), recent.as_ref(), waiting);
        (self.counts, self.runs) = (counts, runs.unwrap_or_default());
        Some(sample)
    }
}

impl Reading {
    pub(super) fn of(sources: &Sources) -> Self {
        let servables = sources.serving.servables();
        let versions = servables
            .iter()
            .map(|servable| ((servable.name.clone(), servable.version), VersionReading::of(servable)));
        Self {
            at: Instant::now(),
            versions: versions.collect(),
            traffic: traffic(sources),
            memory_refusals: sources.byte_budget.usage().refused,
            known: Known::of(&sources.serving),
        }
    }

    /// Reads all counters again and returns what has happened in between.
    pub(super) fn advance(&mut self, sources: &Sources) -> Sample {
        let now = Instant::now();
        let elapsed = now.duration_since(std::mem::replace(&mut self.at, now));
        let mut changed = BTreeSet::new();
        let models = self.advance_versions(&sources.serving.servables(), &mut changed);
        self.known.advance(&sources.serving, &mut changed);
        Sample {
            time: rfc3339(SystemTime::now()),
            seconds: seconds(elapsed),
            models,
            gateway: self.advance_gateway(sources),
            changed: changed.into_iter().collect(),
        }
    }

    fn advance_versions(
        &mut self,
        servables: &[Arc<Servable>],
        changed: &mut BTreeSet<ModelName>,
    ) -> Vec<ModelSample> {
        let mut before = std::mem::take(&mut self.versions);
        let mut samples = Vec::new();
        for servable in servables {
            let key = (servable.name.clone(), servable.version);
            let is_same = |known: &VersionReading| Arc::ptr_eq(&known.statistics, &servable.statistics);
            let is_known = before.get(&key).is_some_and(is_same);
            let known = if is_known { before.remove(&key) } else { None };
            let reading = if let Some(mut known) = known {
                samples.extend(known.advance(servable));
                known
            } else {
                changed.insert(servable.name.clone());
                let first = VersionReading::of(servable);
                samples.extend(first.since_it_was_loaded(key.clone()));
                first
            };
            self.versions.insert(key, reading);
        }
        // Those that were replaced or taken out of service answered until then.
        for (key, gone) in before {
            changed.insert(key.0.clone());
            samples.extend(gone.last(key));
        }
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.requests()));
        samples
    }

    fn advance_gateway(&mut self, sources: &Sources) -> GatewaySample {
        let BudgetUse { total, taken, refused } = sources.byte_budget.usage();
        let before = std::mem::replace(&mut self.memory_refusals, refused);
        let memory = MemorySample { bytes: taken, limit: total, refused: refused.saturating_sub(before) };
        let Some(now) = traffic(sources) else { return GatewaySample { memory, ..GatewaySample::default() } };
        let before = self.traffic.replace(now.clone()).unwrap_or_default();
        let since = now.responses.iter().map(|(status, count)| {
            let known = before.responses.get(status).copied().unwrap_or_default();
            (status.clone(), count.saturating_sub(known))
        });
        let responses: BTreeMap<String, u64> = since.filter(|(_, count)| *count > 0).collect();
        GatewaySample {
            responses: Some(responses),
            duration_ms: Quantiles::of(&now.seconds.since(&before.seconds)),
            in_flight: Some(now.in_flight),
            memory,
        }
    }
}

fn traffic(sources: &Sources) -> Option<Traffic> {
    let is_uncounted = |route: &str| [EVENTS, NO_ROUTE].contains(&route) || sources.open_paths.contain(route);
    sources.metrics.traffic(|route| !is_uncounted(route))
}
