//! Logs and metrics.

pub mod logging;
mod metrics;

pub use metrics::{ConnectionEnd, InFlight, Metrics, MetricsError, ModelInService, Route, Seconds};
