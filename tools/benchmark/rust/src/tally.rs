//! The result of a run, as one line of JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer ones are counted as this.
const LONGEST: Duration = Duration::from_mins(1);
const SIGNIFICANT_DIGITS: u8 = 3;

/// Latencies, and what failed.
pub struct Tally {
    nanoseconds: Histogram<u64>,
    failed: u64,
}

/// The figures of a run.
#[derive(Serialize)]
pub struct Report {
    /// Answers with the status 200.
    pub requests: u64,
    /// Other answers, and requests without one.
    pub errors: u64,
    /// Time that was measured.
    pub seconds: f64,
    /// Latencies in microseconds.
    pub p50_us: f64,
    /// See `p50_us`.
    pub p99_us: f64,
    /// See `p50_us`.
    pub p999_us: f64,
    /// See `p50_us`.
    pub max_us: f64,
    /// CPU time of the server meanwhile.
    pub server_cpu_us: Option<f64>,
    /// CPU time of the measuring program.
    pub own_cpu_us: f64,
}

impl Tally {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// Never with the bounds of this file.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { nanoseconds: Histogram::new_with_bounds(1, longest, SIGNIFICANT_DIGITS)?, failed: 0 })
    }

    /// Counts an answer that is as it should be.
    pub fn answered(&mut self, latency: Duration) {
        self.nanoseconds.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts requests that failed.
    pub fn failed(&mut self, number: u64) {
        self.failed += number;
    }

    /// The number of requests that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed
    }

    /// Adds what another thread counted.
    ///
    /// # Errors
    ///
    /// Never, as all have the same bounds.
    pub fn merge(&mut self, other: &Self) -> Result<(), hdrhistogram::AdditionError> {
        self.failed += other.failed;
        self.nanoseconds.add(&other.nanoseconds)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.nanoseconds.reset();
        self.failed = 0;
    }

    /// The figures.
    #[must_use]
    pub fn report(&self, measured: Duration, server: Option<Duration>, own: Duration) -> Report {
        let quantile =
            |share: f64| microseconds(Duration::from_nanos(self.nanoseconds.value_at_quantile(share)));
        Report {
            requests: self.nanoseconds.len(),
            errors: self.failed,
            seconds: measured.as_secs_f64(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: microseconds(Duration::from_nanos(self.nanoseconds.max())),
            server_cpu_us: server.map(microseconds),
            own_cpu_us: microseconds(own),
        }
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
