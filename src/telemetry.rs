//! Logs, metrics and traces.

mod audit;
pub mod logging;
mod metrics;
mod timeline;
mod trace_context;
mod traces;

pub use audit::{AuditCaller, AuditError, AuditEvent, AuditKind, AuditLog, AuditOutcome};
pub use metrics::{
    Buckets, ConnectionEnd, InFlight, Metrics, MetricsError, ModelInService, QuotaStoreFailure, Route,
    Seconds, SpanOutcome, Traffic,
};
pub use timeline::{StepKind, TimedRun, Timeline};
pub use traces::{TraceHeaders, TracedRequest, Traces};
