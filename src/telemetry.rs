//! Logs and metrics.

pub mod logging;
mod metrics;

pub use metrics::{ConnectionEnd, Metrics, MetricsError, ModelInService, Route, Seconds};
