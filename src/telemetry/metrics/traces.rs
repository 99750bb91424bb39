//! Metrics of the export of traces.

use prometheus::{IntCounterVec, Opts, Registry};

use super::{Metrics, registered};

/// Spans by outcome.
#[derive(Debug)]
pub(super) struct TraceMetrics {
    spans: IntCounterVec,
}

/// The outcome of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// The collector took them.
    Exported,
    /// The collector did not take them.
    Failed,
    /// Too many waited, or the export had ended.
    Dropped,
}

impl SpanOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

impl TraceMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let spans = Opts::new("gateway_trace_spans_total", "Spans of traced requests, by outcome.");
        Ok(Self { spans: registered(registry, IntCounterVec::new(spans, &["outcome"])?)? })
    }
}

impl Metrics {
    /// Counts spans with an outcome.
    pub fn trace_spans(&self, outcome: SpanOutcome, spans: usize) {
        self.traces.spans.with_label_values(&[outcome.label()]).inc_by(spans as u64);
    }
}
