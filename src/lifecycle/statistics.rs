//! What a version has answered since it was loaded, and how long the parts of it took.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Batches of so many sizes are told apart; those of further sizes are only in the sums.
const MAX_BATCH_SIZES: usize = 64;

/// Counts the answers of one version.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Counts>);

/// How often something was done, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub duration: Duration,
}

/// How long the phases of one answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Waiting for a session.
    pub queue: Duration,
    /// Checking the inputs.
    pub input: Duration,
    /// In ONNX Runtime.
    pub infer: Duration,
    /// Checking the outputs.
    pub output: Duration,
}

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// When the last answer was given.
    pub last: Option<Instant>,
    /// The rows of all runs.
    pub inferences: u64,
    /// The runs.
    pub executions: u64,
    /// Answers, from the checked request to the answer.
    pub success: Total,
    /// Requests that were right and not answered.
    pub fail: Total,
    /// The part of waiting.
    pub queue: Total,
    /// The part of checking inputs.
    pub input: Total,
    /// The part of running.
    pub infer: Total,
    /// The part of checking outputs.
    pub output: Total,
    /// The runs by their number of rows.
    pub batches: BTreeMap<usize, BatchCounts>,
}

/// The runs of one number of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// The part of checking inputs.
    pub input: Total,
    /// The part of running.
    pub infer: Total,
    /// The part of checking outputs.
    pub output: Total,
}

impl Total {
    fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.duration = self.duration.saturating_add(duration);
    }

    /// The whole duration in nanoseconds; it takes 584 years to be more than fits.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Counts {
    /// When the last answer was given, in milliseconds since 1970; 0 for never.
    #[must_use]
    pub fn last_milliseconds(&self) -> u64 {
        let time = |last: Instant| SystemTime::now().checked_sub(last.elapsed());
        let since = self.last.and_then(time).and_then(|last| last.duration_since(UNIX_EPOCH).ok());
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Statistics {
    /// Counts an answer to `rows` rows that is given now, and the runs that it stands for, of so many rows each: none where another answer
    /// of the same run does.
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

    /// Counts a request that was right and is not answered.
    pub fn failed(&self, duration: Duration) {
        self.lock().fail.add(duration);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Held for some additions: shorter than counters of their own would take, and what is read fits together.
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
    fn made_up_numbers_of_rows_take_no_memory() {
        let statistics = Statistics::default();
        (0..1000).for_each(|rows| statistics.answered(Instant::now(), rows, 1, rows, &Phases::default()));
        assert_eq!(statistics.counts().batches.len(), MAX_BATCH_SIZES);
        assert_eq!(statistics.counts().executions, 1000);
    }
}
