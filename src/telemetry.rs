//! Logs and metrics.

mod audit;
pub mod logging;
mod metrics;

pub use audit::{AuditCaller, AuditError, AuditEvent, AuditKind, AuditLog, AuditOutcome};
pub use metrics::{
    Buckets, ConnectionEnd, InFlight, Metrics, MetricsError, ModelInService, QuotaStoreFailure, Route,
    Seconds, Traffic,
};
