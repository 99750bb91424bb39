//! The request queue: in order of arrival, or by fair queueing under contention.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use super::{
    RuntimeError,
    batch::can_run_with,
    job::{Job, RunRequest},
    occupancy::Occupancy,
};

/// Jobs in the order they came, or, if they do not fit into one run, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// The earliest turn of each caller's next job.
    next_turns: HashMap<u64, usize>,
    /// The turn that was last taken.
    turn: usize,
}

#[derive(Debug)]
struct Waiting {
    job: Job,
    /// `None` until the job has had to wait for others.
    turn: Option<usize>,
}

impl Queue {
    pub(super) fn push(&mut self, job: Job, occupancy: &Occupancy) {
        if let Some(mut counts) = occupancy.counted() {
            counts.add(&job.asked);
        }
        self.waiting.push_back(Waiting { job, turn: None });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the rows of all waiting requests.
    pub(super) fn rows(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.job.asked.rows()).sum()
    }

    /// Returns the number of waiting requests, without abandoned ones.
    pub(super) fn requests(&self) -> usize {
        let now = Instant::now();
        self.waiting.iter().filter(|waiting| !waiting.job.is_abandoned(now)).count()
    }

    /// Returns the arrival of the first request; `None` if the queue is empty.
    pub(super) fn since(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.job.asked.since)
    }

    /// Takes the next batch and drops abandoned requests. Empty only if the queue is.
    ///
    /// Requests that fit into one run are taken in order of arrival. Otherwise the more urgent come first, and among
    /// them those whose turn it is. Each caller gets as many rows as the others, so a caller with many requests delays
    /// only itself (start-time fair queueing: Goyal, Vin, Cheng, 1996).
    pub(super) fn take(&mut self, max_rows: usize, occupancy: &Occupancy) -> Vec<Job> {
        self.drop_abandoned(occupancy);
        if !self.goes_together(max_rows) {
            self.sort();
        }
        let mut batch: Vec<Job> = Vec::with_capacity(self.waiting.len());
        let (mut rows, mut others) = (0, VecDeque::new());
        for waiting in self.waiting.drain(..) {
            let asked = &waiting.job.asked;
            let fits = batch
                .first()
                .is_none_or(|first| rows + asked.rows() <= max_rows && can_run_with(&first.asked, asked));
            if fits {
                rows += asked.rows();
                self.turn = self.turn.max(waiting.turn.unwrap_or_default());
                batch.push(waiting.job);
            } else {
                others.push_back(waiting);
            }
        }
        self.waiting = others;
        if let Some(mut counts) = occupancy.counted() {
            for job in &batch {
                counts.remove(&job.asked);
            }
            occupancy.end_if_empty(&mut counts);
        }
        if self.waiting.is_empty() {
            self.next_turns.clear();
            self.turn = 0;
        }
        batch
    }

    /// Iterates over all waiting requests.
    pub(super) fn asked(&self) -> impl Iterator<Item = &RunRequest> {
        self.waiting.iter().map(|waiting| &waiting.job.asked)
    }

    /// Drops abandoned requests.
    pub(super) fn drop_abandoned(&mut self, occupancy: &Occupancy) {
        let now = Instant::now();
        let mut counts = occupancy.counted();
        self.waiting.retain(|Waiting { job, .. }| {
            let is_abandoned = job.is_abandoned(now);
            if let Some(counts) = counts.as_mut().filter(|_| is_abandoned) {
                counts.remove(&job.asked);
            }
            !is_abandoned
        });
    }

    /// Finds the last request of a caller that is no more urgent than `priority`: its priority, time of arrival and
    /// position.
    pub(super) fn last_of(&self, caller: u64, priority: u8) -> Option<(u8, Instant, usize)> {
        let places = self.asked().enumerate();
        let own = places.filter(|(_, asked)| asked.caller == caller && asked.priority >= priority);
        // The last of equals, as requests of one caller and priority are in order of arrival.
        own.map(|(place, asked)| (asked.priority, asked.since, place)).max_by_key(|(priority, ..)| *priority)
    }

    /// Refuses the request at this position, whose caller gives it up.
    pub(super) fn give_up(&mut self, place: usize, occupancy: &Occupancy) {
        let Some(Waiting { job, .. }) = self.waiting.remove(place) else { return };
        if let Some(mut counts) = occupancy.counted() {
            counts.remove(&job.asked);
        }
        let _ = job.response.send(Err(RuntimeError::Overloaded.into()));
    }

    fn goes_together(&self, max_rows: usize) -> bool {
        let mut asked = self.waiting.iter().map(|waiting| &waiting.job.asked);
        let Some(first) = asked.next() else { return true };
        self.rows() <= max_rows && asked.all(|other| can_run_with(first, other)) || self.waiting.len() == 1
    }

    /// Assigns a turn to every request without one, and sorts by turn.
    fn sort(&mut self) {
        // Requests without a turn came last, and are in order of arrival.
        for Waiting { job, turn } in self.waiting.iter_mut().filter(|waiting| waiting.turn.is_none()) {
            let next = self.next_turns.entry(job.asked.caller).or_default();
            let own = self.turn.max(*next);
            *turn = Some(own);
            *next = own.saturating_add(job.asked.rows().max(1));
        }
        // Stable: equals stay in order of arrival.
        self.waiting.make_contiguous().sort_by_key(|waiting| (waiting.job.asked.priority, waiting.turn));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        model::{Tensor, TensorData},
        runtime::scheduler::job::Inputs,
    };

    fn tensor(rows: usize, width: usize) -> Tensor {
        Tensor::new(vec![rows, width], TensorData::F32(vec![0.0; rows * width].into())).unwrap()
    }

    /// Callers that wait, of a queue that is not full.
    struct Callers(Vec<oneshot::Receiver<Result<crate::runtime::RunResult, crate::runtime::Failed>>>);

    impl Queue {
        fn next(&mut self, max_rows: usize) -> Vec<Job> {
            self.take(max_rows, &Occupancy::default())
        }
    }

    impl Callers {
        fn ask(&mut self, queue: &mut Queue, caller: u64, priority: u8, rows: usize) {
            self.ask_of(queue, RunRequest { priority, ..asked(caller, tensor(rows, 2), rows) });
        }

        fn ask_of(&mut self, queue: &mut Queue, asked: RunRequest) {
            let (response, answered) = oneshot::channel();
            self.0.push(answered);
            queue.push(Job::short(asked, response), &Occupancy::default());
        }
    }

    fn asked(caller: u64, tensor: Tensor, rows: usize) -> RunRequest {
        RunRequest {
            permit: crate::auth::RunPermit::of_test(),
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
        assert_eq!(callers(&queue.next(10)), [0, 1, 2, 3, 4]);
        assert!(queue.is_empty() && queue.next(10).is_empty());
    }

    #[test]
    fn who_asks_for_much_does_not_keep_others_waiting() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        (0..6).for_each(|_| all.ask(&mut queue, 1, 0, 1));
        all.ask(&mut queue, 2, 0, 1);
        assert_eq!(callers(&queue.next(3)), [1, 2, 1]);
        assert_eq!(callers(&queue.next(9)), [1, 1, 1, 1]);
    }

    #[test]
    fn the_more_urgent_come_first_where_not_all_fit() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        (0..3).for_each(|_| all.ask(&mut queue, 1, 1, 1));
        all.ask(&mut queue, 2, 0, 1);
        assert_eq!(callers(&queue.next(2)), [2, 1]);
    }

    #[test]
    fn it_is_somebodys_turn_where_nobody_can_be_run_with_others_too() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        let alone = |caller, priority| RunRequest { rows: None, priority, ..asked(caller, tensor(1, 2), 1) };
        for (caller, priority) in [(1, 1), (1, 1), (2, 1), (3, 0)] {
            all.ask_of(&mut queue, alone(caller, priority));
        }
        let order: Vec<u64> = (0..4).flat_map(|_| callers(&queue.next(9))).collect();
        assert_eq!(order, [3, 1, 2, 1]);
    }

    #[test]
    fn one_that_is_larger_than_a_run_is_run_alone() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        all.ask(&mut queue, 1, 0, 7);
        all.ask(&mut queue, 2, 0, 1);
        assert_eq!(callers(&queue.next(4)), [1]);
        assert_eq!(callers(&queue.next(4)), [2]);
    }

    #[test]
    fn other_shapes_and_whole_requests_are_not_mixed() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        all.ask(&mut queue, 1, 0, 1);
        all.ask_of(&mut queue, asked(2, tensor(1, 3), 1));
        all.ask_of(&mut queue, RunRequest { rows: None, ..asked(3, tensor(1, 2), 1) });
        all.ask(&mut queue, 4, 0, 1);
        assert_eq!(callers(&queue.next(9)), [1, 4]);
        assert_eq!(callers(&queue.next(9)), [2]);
        assert_eq!(callers(&queue.next(9)), [3]);
    }

    #[test]
    fn who_is_gone_or_too_late_is_not_run() {
        let (mut queue, mut all) = (Queue::default(), Callers(Vec::new()));
        all.ask(&mut queue, 1, 0, 1);
        all.ask(&mut queue, 2, 0, 1);
        let late = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
        all.ask_of(&mut queue, RunRequest { deadline: Some(late), ..asked(3, tensor(1, 2), 1) });
        all.0.remove(0);
        assert_eq!(queue.requests(), 1);
        assert_eq!(callers(&queue.next(9)), [2]);
        assert!(queue.is_empty());
    }
}
