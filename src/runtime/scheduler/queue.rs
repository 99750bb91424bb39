//! Those who wait, and whose turn it is.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use super::{batch::can_run_with, job::Job};

/// Jobs in the order they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
}

impl Queue {
    pub(super) fn push(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The rows of all that wait.
    pub(super) fn rows(&self) -> usize {
        self.jobs.iter().map(|job| job.asked.rows()).sum()
    }

    /// Since when the first has waited.
    pub(super) fn since(&self) -> Option<Instant> {
        self.jobs.front().map(|job| job.asked.since)
    }

    /// The next to run, together; those whom nobody waits for any more are left out. Nobody is left when there are none.
    ///
    /// As long as all fit into one run they are taken as they came. Where they do not, the more urgent come first, and
    /// among them those whose caller has the fewest rows before: who asks for much waits for himself.
    pub(super) fn take(&mut self, max_rows: usize) -> Vec<Job> {
        let now = Instant::now();
        self.jobs.retain(|job| !job.is_gone(now));
        if self.rows() > max_rows {
            self.sort();
        }
        let mut batch: Vec<Job> = Vec::with_capacity(self.jobs.len());
        let Some(first) = self.jobs.pop_front() else { return batch };
        let mut rows = first.asked.rows();
        batch.push(first);
        let mut others = VecDeque::new();
        while let Some(job) = self.jobs.pop_front() {
            let fits = rows + job.asked.rows() <= max_rows;
            if fits && batch.first().is_some_and(|first| can_run_with(&first.asked, &job.asked)) {
                rows += job.asked.rows();
                batch.push(job);
            } else {
                others.push_back(job);
            }
        }
        self.jobs = others;
        batch
    }

    fn sort(&mut self) {
        let mut before: HashMap<(u8, u64), usize> = HashMap::new();
        let mut ranked: Vec<(u8, usize, Job)> = Vec::with_capacity(self.jobs.len());
        let mut jobs: Vec<Job> = self.jobs.drain(..).collect();
        jobs.sort_by_key(|job| job.asked.since);
        for job in jobs {
            let rows = before.entry((job.asked.priority, job.asked.caller)).or_default();
            ranked.push((job.asked.priority, *rows, job));
            if let Some((_, _, job)) = ranked.last() {
                *rows += job.asked.rows();
            }
        }
        // Stable: who came first is first among equals.
        ranked.sort_by_key(|(priority, rows, _)| (*priority, *rows));
        self.jobs = ranked.into_iter().map(|(_, _, job)| job).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        model::{Tensor, TensorData},
        runtime::scheduler::job::{Asked, Inputs},
    };

    fn tensor(rows: usize, width: usize) -> Tensor {
        Tensor::new(vec![rows, width], TensorData::F32(vec![0.0; rows * width].into())).unwrap()
    }

    struct Callers(Vec<oneshot::Receiver<Result<crate::runtime::Ran, crate::runtime::RuntimeError>>>);

    impl Callers {
        fn ask(&mut self, queue: &mut Queue, caller: u64, priority: u8, rows: usize) {
            self.ask_of(queue, Asked { priority, ..asked(caller, tensor(rows, 2), rows) });
        }

        fn ask_of(&mut self, queue: &mut Queue, asked: Asked) {
            let (answer, answered) = oneshot::channel();
            self.0.push(answered);
            queue.push(Job::short(asked, answer));
        }
    }

    fn asked(caller: u64, tensor: Tensor, rows: usize) -> Asked {
        Asked {
            inputs: Inputs::Only(tensor),
            rows: Some(rows),
            caller,
            priority: 0,
            deadline: None,
            since: Instant::now(),
        }
    }

    fn callers(batch: &[Job]) -> Vec<u64> {
        batch.iter().map(|job| job.asked.caller).collect()
    }

    #[test]
    fn all_that_fit_are_run_together_in_the_order_they_came() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        (0..5).for_each(|caller| all.ask(&mut queue, caller, 0, 2));
        assert_eq!(queue.rows(), 10);
        assert_eq!(callers(&queue.take(10)), [0, 1, 2, 3, 4]);
        assert!(queue.is_empty() && queue.take(10).is_empty());
    }

    #[test]
    fn who_asks_for_much_does_not_keep_others_waiting() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        (0..6).for_each(|_| all.ask(&mut queue, 1, 0, 1));
        all.ask(&mut queue, 2, 0, 1);
        assert_eq!(callers(&queue.take(3)), [1, 2, 1]);
        assert_eq!(callers(&queue.take(9)), [1, 1, 1, 1]);
    }

    #[test]
    fn the_more_urgent_come_first_where_not_all_fit() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        (0..3).for_each(|_| all.ask(&mut queue, 1, 1, 1));
        all.ask(&mut queue, 2, 0, 1);
        assert_eq!(callers(&queue.take(2)), [2, 1]);
    }

    #[test]
    fn one_that_is_larger_than_a_run_is_run_alone() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        all.ask(&mut queue, 1, 0, 7);
        all.ask(&mut queue, 2, 0, 1);
        assert_eq!(callers(&queue.take(4)), [1]);
        assert_eq!(callers(&queue.take(4)), [2]);
    }

    #[test]
    fn other_shapes_and_whole_requests_are_not_mixed() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        all.ask(&mut queue, 1, 0, 1);
        all.ask_of(&mut queue, asked(2, tensor(1, 3), 1));
        all.ask_of(&mut queue, Asked { rows: None, ..asked(3, tensor(1, 2), 1) });
        all.ask(&mut queue, 4, 0, 1);
        assert_eq!(callers(&queue.take(9)), [1, 4]);
        assert_eq!(callers(&queue.take(9)), [2]);
        assert_eq!(callers(&queue.take(9)), [3]);
    }

    #[test]
    fn who_is_gone_or_too_late_is_not_run() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        all.ask(&mut queue, 1, 0, 1);
        all.ask(&mut queue, 2, 0, 1);
        let late = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
        all.ask_of(&mut queue, Asked { deadline: Some(late), ..asked(3, tensor(1, 2), 1) });
        all.0.remove(0);
        assert_eq!(callers(&queue.take(9)), [2]);
        assert!(queue.is_empty());
    }
}
