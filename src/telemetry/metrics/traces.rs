//! Metrics of the export of traces.

use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::{IntCounterVec, Opts, Registry};

use super::{Metrics, registered};

/// Spans by what became of them.
#[derive(Debug)]
pub(super) struct TraceMetrics {
    spans: IntCounterVec,
    /// Spans that are not exported yet.
    waiting: AtomicUsize,
}

impl TraceMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let spans = Opts::new("gateway_trace_spans_total", "Spans of traced requests, by outcome.");
        let spans = registered(registry, IntCounterVec::new(spans, &["outcome"])?)?;
        Ok(Self { spans, waiting: AtomicUsize::new(0) })
    }
}

impl Metrics {
    /// Counts a span that is to be exported. Returns false if as many as may wait are waiting; then it is counted as
    /// dropped.
    #[must_use]
    pub fn trace_span_waits(&self, most: usize) -> bool {
        let TraceMetrics { spans, waiting } = &self.traces;
        if waiting.fetch_add(1, Ordering::Relaxed) < most {
            return true;
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
        spans.with_label_values(&["dropped"]).inc();
        false
    }

    /// Counts spans that no longer wait.
    pub fn trace_spans_left(&self, spans: usize, are_exported: bool) {
        let outcome = if are_exported { "exported" } else { "failed" };
        self.traces.spans.with_label_values(&[outcome]).inc_by(spans as u64);
        self.traces.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}
