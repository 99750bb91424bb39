//! Logs and metrics.

pub mod logging;
mod metrics;

pub use metrics::{
    Buckets, ConnectionEnd, InFlight, Metrics, MetricsError, ModelInService, Route, Seconds, Traffic,
};
