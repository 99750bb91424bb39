//! Expected duration of runs: as measured by the proof, and as observed since.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The rows of the larger run that a proof measures.
const MANY: u64 = 32;

/// The newest run has a weight of 1/8 in the moving average.
const MEMORY: u64 = 8;

/// The time of a run by its rows.
#[derive(Debug)]
pub(super) struct CostModel {
    /// The fixed part of a run, in nanoseconds.
    base: u64,
    /// The part for each row, in nanoseconds.
    per_row: u64,
    /// The moving average of the time per row, rows of other requests included, in nanoseconds.
    seen_per_row: AtomicU64,
}

impl CostModel {
    pub(super) fn new(one: Duration, many: Option<Duration>) -> Self {
        let one = nanoseconds(one).max(1);
        let per_row = many.map_or(one, |many| nanoseconds(many).saturating_sub(one) / (MANY - 1)).max(1);
        Self { base: one.saturating_sub(per_row), per_row, seen_per_row: AtomicU64::new(one) }
    }

    /// Returns the number of rows that can be run within `duration`.
    pub(super) fn rows_within(&self, duration: Duration) -> usize {
        let rows = nanoseconds(duration).saturating_sub(self.base) / self.per_row;
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// Records the duration of a run.
    pub(super) fn record(&self, rows: usize, duration: Duration) {
        let per_row = nanoseconds(duration) / u64::try_from(rows.max(1)).unwrap_or(u64::MAX);
        let mean = self.seen_per_row.load(Ordering::Relaxed);
        self.seen_per_row.store(mean - mean / MEMORY + per_row / MEMORY, Ordering::Relaxed);
    }

    /// Estimates the time of `rows` rows from recent runs.
    pub(super) fn expected(&self, rows: usize) -> Duration {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        Duration::from_nanos(self.seen_per_row.load(Ordering::Relaxed).saturating_mul(rows))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_costs_something_and_each_row_some_more() {
        let us = Duration::from_micros;
        let pace = CostModel::new(us(10), Some(us(41)));
        assert_eq!(pace.rows_within(us(41)), 32);
        assert_eq!(pace.rows_within(us(9)), 0);
        assert_eq!(CostModel::new(us(10), None).rows_within(us(100)), 10);
        assert_eq!(
            CostModel::new(us(10), Some(us(5))).rows_within(Duration::ZERO),
            0,
            "faster with more rows"
        );
    }

    #[test]
    fn what_is_expected_follows_what_was_seen() {
        let us = Duration::from_micros;
        let pace = CostModel::new(us(100), None);
        (0..100).for_each(|_| pace.record(10, us(200)));
        let expected = pace.expected(10);
        assert!(expected > us(190) && expected < us(210), "{expected:?}");
    }
}
