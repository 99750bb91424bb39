//! Parts of the time of a request, for its trace and for `Server-Timing`.

use std::{
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::trace_context::TraceContext;
use crate::model::ModelVersion;

/// A part of the time of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The caller is identified.
    Authentication,
    /// Quotas are charged.
    Quota,
    /// Rows wait until their run begins.
    Queue,
    /// Rows are joined with those of others, and run.
    Batch,
    /// ONNX Runtime runs the model.
    Inference,
}

impl StepKind {
    /// Returns the name, as in traces and `Server-Timing`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Quota => "quota",
            Self::Queue => "queue",
            Self::Batch => "batch",
            Self::Inference => "inference",
        }
    }
}

/// A finished part.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) kind: StepKind,
    pub(super) begin: Instant,
    pub(super) end: Instant,
    /// For a batch: its rows, those of other requests included.
    pub(super) rows: Option<usize>,
}

/// A run of a model, as far as a timeline tells of it.
#[derive(Clone, Copy, Debug)]
pub struct TimedRun<'r> {
    /// The model.
    pub model: &'r str,
    /// The version.
    pub version: ModelVersion,
    /// The time when the rows came into the queue.
    pub since: Instant,
    /// The time in the queue.
    pub queued: Duration,
    /// The time in ONNX Runtime.
    pub duration: Duration,
    /// The end of the run.
    pub ended: Instant,
    /// Rows of the whole batch.
    pub batch_rows: usize,
}

/// The model and version of a run.
#[derive(Clone, Debug)]
pub(super) struct RunModel {
    pub(super) name: String,
    pub(super) version: ModelVersion,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) steps: Vec<Step>,
    pub(super) model: Option<RunModel>,
}

/// The times of a request that is traced, or whose client asks for them. Most requests have none.
#[derive(Debug)]
pub struct Timeline {
    pub(super) begin: Instant,
    pub(super) begin_of_day: SystemTime,
    /// `None` if it is only for the client.
    pub(super) trace: Option<TraceContext>,
    /// True if the client asked for `Server-Timing`.
    is_told: bool,
    parts: Mutex<Parts>,
}

/// Most steps that are kept: a stream has some for each message.
const MAX_STEPS: usize = 64;

impl Timeline {
    pub(super) fn new(begin: Instant, trace: Option<TraceContext>, is_told: bool) -> Self {
        let begin_of_day = SystemTime::now().checked_sub(begin.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { begin, begin_of_day, trace, is_told, parts: Mutex::default() }
    }

    /// Records a part that began at this time and has just ended.
    pub fn step(&self, kind: StepKind, begin: Instant) {
        self.push([Step { kind, begin, end: Instant::now(), rows: None }]);
    }

    /// Records a run.
    pub fn ran(&self, run: &TimedRun<'_>) {
        let TimedRun { model, version, since, queued, duration, ended, batch_rows } = *run;
        let begun = since + queued;
        let in_runtime = ended.checked_sub(duration).unwrap_or(begun);
        let step = |kind, begin, end, rows| Step { kind, begin, end, rows };
        self.push([
            step(StepKind::Queue, since, begun, None),
            step(StepKind::Batch, begun, ended, Some(batch_rows)),
            step(StepKind::Inference, in_runtime, ended, None),
        ]);
        self.lock().model.get_or_insert_with(|| RunModel { name: model.to_owned(), version });
    }

    fn push(&self, steps: impl IntoIterator<Item = Step>) {
        let mut parts = self.lock();
        if parts.steps.len() < MAX_STEPS {
            parts.steps.extend(steps);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value of `Server-Timing` if the client asked for it: milliseconds by part
    /// (W3C Server Timing, section 3).
    #[must_use]
    pub fn server_timing(&self, total: Duration) -> Option<String> {
        if !self.is_told {
            return None;
        }
        let mut value = String::new();
        for Step { kind, begin, end, .. } in &self.lock().steps {
            let milliseconds = end.saturating_duration_since(*begin).as_secs_f64() * 1e3;
            // Writing to a string does not fail.
            let _ = write!(value, "{};dur={milliseconds:.3}, ", kind.name());
        }
        let _ = write!(value, "total;dur={:.3}", total.as_secs_f64() * 1e3);
        Some(value)
    }

    /// Returns the value of `traceresponse` if the request is traced.
    #[must_use]
    pub fn trace_response(&self) -> Option<String> {
        self.trace.as_ref().map(TraceContext::header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_asks_is_told_milliseconds_by_part() {
        let begin = Instant::now();
        let timeline = Timeline::new(begin, None, true);
        timeline.ran(&TimedRun {
            model: "iris",
            version: "1".parse().unwrap(),
            since: begin,
            queued: Duration::from_micros(1500),
            duration: Duration::from_millis(2),
            ended: begin + Duration::from_micros(3750),
            batch_rows: 8,
        });
        let expected = "queue;dur=1.500, batch;dur=2.250, inference;dur=2.000, total;dur=4.000";
        assert_eq!(timeline.server_timing(Duration::from_millis(4)).as_deref(), Some(expected));
        assert_eq!(Timeline::new(begin, None, false).server_timing(Duration::ZERO), None);
    }
}
