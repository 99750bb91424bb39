//! Statistics of a version's responses since it was loaded, with the durations of their phases.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Most batch sizes with counters of their own; further sizes count in the totals only.
const MAX_BATCH_SIZES: usize = 64;

/// Counters of one version.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Counts>);

/// A number of operations and their total duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Number of operations.
    pub count: u64,
    /// Total duration.
    pub duration: Duration,
}

/// Durations of the phases of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Waiting for a session.
    pub queue: Duration,
    /// Checking the inputs.
    pub input: Duration,
    /// Running in ONNX Runtime.
    pub infer: Duration,
    /// Checking the outputs.
    pub output: Duration,
}

/// A copy of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Time of the last response.
    pub last: Option<Instant>,
    /// Rows of all runs.
    pub inferences: u64,
    /// Number of runs.
    pub executions: u64,
    /// Successful requests, from the checked request to the response.
    pub success: Total,
    /// Valid requests that failed.
    pub fail: Total,
    /// Waiting for a session.
    pub queue: Total,
    /// Checking inputs.
    pub input: Total,
    /// Running.
    pub infer: Total,
    /// Checking outputs.
    pub output: Total,
    /// Runs by their number of rows.
    pub batches: BTreeMap<usize, BatchCounts>,
}

/// Runs with one number of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Checking inputs.
    pub input: Total,
    /// Running.
    pub infer: Total,
    /// Checking outputs.
    pub output: Total,
}

impl Total {
    fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.duration = self.duration.saturating_add(duration);
    }

    /// Returns the total duration in nanoseconds. It overflows after 584 years.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Counts {
    /// Returns the time of the last response in milliseconds since 1970; 0 if there was none.
    #[must_use]
    pub fn last_milliseconds(&self) -> u64 {
        let time = |last: Instant| SystemTime::now().checked_sub(last.elapsed());
        let since = self.last.and_then(time).and_then(|last| last.duration_since(UNIX_EPOCH).ok());
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Statistics {
    /// Counts a response to `rows` rows, and its `runs` of `batch_rows` rows each. `runs` is 0 if another response of
    /// the same run counts it.
    pub fn answered(&self, now: Instant, rows: usize, runs: u64, batch_rows: usize, phases: &Phases) {
        let Phases { queue, input, infer, output } = *phases;
        let mut counts = self.lock();
        counts.last = Some(now);
        counts.inferences = counts.inferences.saturating_add(rows as u64);
        counts.executions += runs;
        counts.success.add(queue + input + infer + output);
        counts.queue.add(queue);
        counts.input.add(input);
        counts.infer.add(infer);
        counts.output.add(output);
        let counted = counts.batches.len() < MAX_BATCH_SIZES || counts.batches.contains_key(&batch_rows);
        if runs > 0 && counted {
            let batch = counts.batches.entry(batch_rows).or_default();
            batch.input.add(input);
            batch.infer.add(infer);
            batch.output.add(output);
        }
    }

    /// Counts a valid request that failed.
    pub fn failed(&self, duration: Duration) {
        self.lock().fail.add(duration);
    }

    /// Copies the counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Copies the counters if a request was answered or failed since these were copied.
    #[must_use]
    pub fn counts_after(&self, known: &Counts) -> Option<Counts> {
        let counts = self.lock();
        let is_same = counts.success.count == known.success.count && counts.fail.count == known.fail.count;
        (!is_same).then(|| counts.clone())
    }

    /// Locks the counters for a few additions: one lock is cheaper than separate atomics, and readers see consistent
    /// numbers.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_rows_and_by_parts() {
        let statistics = Statistics::default();
        let (ms, now) = (Duration::from_millis, Instant::now());
        let phases = Phases { queue: ms(1), input: ms(2), infer: ms(3), output: ms(4) };
        statistics.answered(now, 5, 1, 5, &phases);
        statistics.answered(now, 2, 1, 5, &phases);
        statistics.answered(now, 3, 0, 5, &phases);
        statistics.answered(now, 1, 1, 1, &phases);
        statistics.failed(ms(7));
        let counts = statistics.counts();
        assert_eq!((counts.inferences, counts.executions), (11, 3));
        assert_eq!(counts.success, Total { count: 4, duration: ms(40) });
        assert_eq!(counts.fail, Total { count: 1, duration: ms(7) });
        assert_eq!(counts.batches[&5].infer, Total { count: 2, duration: ms(6) });
        assert!(counts.last_milliseconds() > 1_700_000_000_000);
    }

    #[test]
    fn counters_are_copied_again_only_after_a_request() {
        let statistics = Statistics::default();
        assert_eq!(statistics.counts_after(&Counts::default()), None);
        statistics.failed(Duration::from_millis(7));
        let counts = statistics.counts_after(&Counts::default()).unwrap();
        assert_eq!(counts.fail.count, 1);
        assert_eq!(statistics.counts_after(&counts), None);
        statistics.answered(Instant::now(), 1, 1, 1, &Phases::default());
        assert_eq!(statistics.counts_after(&counts).unwrap().success.count, 1);
    }

    #[test]
    fn made_up_numbers_of_rows_take_no_memory() {
        let statistics = Statistics::default();
        (0..1000).for_each(|rows| statistics.answered(Instant::now(), rows, 1, rows, &Phases::default()));
        assert_eq!(statistics.counts().batches.len(), MAX_BATCH_SIZES);
        assert_eq!(statistics.counts().executions, 1000);
    }
}
