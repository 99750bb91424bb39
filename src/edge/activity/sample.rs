//! The activity of one second.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    model::{ModelName, ModelVersion},
    serving::{Counts, Total},
    telemetry::Buckets,
};

/// The activity between two readings.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The time at its end, as in RFC 3339.
    pub(crate) time: String,
    /// The time between the readings.
    pub(crate) seconds: f64,
    /// Versions that were used or have requests waiting, the busiest first.
    pub(crate) models: Vec<ModelSample>,
    /// The gateway as a whole.
    pub(crate) gateway: GatewaySample,
    /// Models whose state, version in service, problems or history have changed.
    pub(crate) changed: Vec<ModelName>,
}

/// The activity of a version.
#[derive(Debug, Serialize)]
pub(crate) struct ModelSample {
    pub(crate) name: ModelName,
    pub(crate) version: ModelVersion,
    /// Valid requests that were answered.
    succeeded: u64,
    /// Valid requests that failed.
    failed: u64,
    rows: u64,
    runs: u64,
    /// Runs by their number of rows.
    batches: BTreeMap<usize, u64>,
    /// Means per answered request.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_ms: Option<MeanTimes>,
    /// Durations of the model's runs; absent if metrics are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_ms: Option<Quantiles>,
    /// Requests that wait for a run at the end of the second.
    waiting: usize,
}

/// Mean times of the answered requests.
#[derive(Debug, Serialize)]
struct MeanTimes {
    queue: f64,
    run: f64,
    total: f64,
}

/// Quantiles of durations, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Quantiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// The activity of the gateway.
#[derive(Debug, Default, Serialize)]
pub(crate) struct GatewaySample {
    /// Responses by status, of routes that need a token; absent if metrics are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) responses: Option<BTreeMap<String, u64>>,
    /// Their durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<Quantiles>,
    /// Requests in progress; absent if metrics are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_flight: Option<i64>,
    pub(super) memory: MemorySample,
}

/// The memory of requests in flight.
#[derive(Debug, Default, Serialize)]
pub(super) struct MemorySample {
    pub(super) bytes: u64,
    pub(super) limit: u64,
    /// Requests refused for lack of memory.
    pub(super) refused: u64,
}

impl ModelSample {
    /// Compares two readings of a version's counters.
    pub(super) fn between(
        (name, version): (ModelName, ModelVersion),
        (before, now): (&Counts, &Counts),
        runs: Option<&Buckets>,
        waiting: usize,
    ) -> Self {
        let sizes = now.batches.iter().map(|(rows, batch)| {
            let known = before.batches.get(rows).map_or(0, |batch| batch.infer.count);
            (*rows, batch.infer.count.saturating_sub(known))
        });
        let succeeded = now.success.count.saturating_sub(before.success.count);
        let mean = |total: fn(&Counts) -> &Total| {
            let duration = total(now).duration.saturating_sub(total(before).duration);
            milliseconds(duration.as_secs_f64()) / u32::try_from(succeeded).map_or(f64::INFINITY, f64::from)
        };
        let times = || MeanTimes {
            queue: mean(|counts| &counts.queue),
            run: mean(|counts| &counts.infer),
            total: mean(|counts| &counts.success),
        };
        Self {
            name,
            version,
            succeeded,
            failed: now.fail.count.saturating_sub(before.fail.count),
            rows: now.inferences.saturating_sub(before.inferences),
            runs: now.executions.saturating_sub(before.executions),
            batches: sizes.filter(|(_, runs)| *runs > 0).collect(),
            mean_ms: (succeeded > 0).then(times),
            run_ms: runs.and_then(Quantiles::of),
            waiting,
        }
    }

    /// Returns the number of requests, by which samples are sorted.
    pub(super) fn requests(&self) -> u64 {
        self.succeeded + self.failed
    }
}

impl Quantiles {
    /// Estimates the quantiles. `None` if there are no values.
    pub(super) fn of(buckets: &Buckets) -> Option<Self> {
        let quantile = |share| buckets.quantile(share).map(milliseconds);
        Some(Self { p50: quantile(0.5)?, p95: quantile(0.95)?, p99: quantile(0.99)? })
    }
}

/// Converts seconds to milliseconds.
fn milliseconds(seconds: f64) -> f64 {
    seconds * 1000.0
}

/// Converts a duration to seconds, for a sample.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::BatchCounts;

    fn counts(success: u64, batch: (usize, u64)) -> Counts {
        let total = |count| Total { count, duration: Duration::from_millis(2 * count) };
        let runs = BatchCounts { infer: total(batch.1), ..BatchCounts::default() };
        Counts {
            inferences: success * 3,
            executions: success,
            success: total(success),
            infer: total(success),
            batches: BTreeMap::from([(batch.0, runs)]),
            ..Counts::default()
        }
    }

    #[test]
    fn a_sample_holds_only_what_happened_between_two_readings() {
        let model = || ("iris".parse().unwrap(), ModelVersion::new(1));
        let (before, now) = (counts(10, (3, 10)), counts(14, (3, 14)));
        let sample = ModelSample::between(model(), (&before, &now), None, 2);
        let json = serde_json::to_value(&sample).unwrap();
        assert_eq!(json["batches"], serde_json::json!({"3": 4}));
        let numbers = ["succeeded", "failed", "rows", "runs", "waiting"].map(|name| json[name].clone());
        assert_eq!(numbers, [4, 0, 12, 4, 2].map(serde_json::Value::from));
        assert!((json["mean_ms"]["total"].as_f64().unwrap() - 2.0).abs() < 1e-9, "{json}");
        let idle = ModelSample::between(model(), (&now, &now), Some(&Buckets::default()), 0);
        let json = serde_json::to_value(&idle).unwrap();
        assert!(json.get("mean_ms").is_none() && json.get("run_ms").is_none(), "{json}");
    }
}
