//! Admission of requests to the queues of a model.

use super::{
    Inner, RuntimeError, Scheduler,
    job::{QueueSlot, RunRequest},
    occupancy::{Occupancy, Verdict},
    queue::Queue,
};

impl Scheduler {
    /// Reserves a place for a request among those that wait or run.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Overloaded`] when the queues are full, and no caller has more requests in them.
    pub(super) fn place_of(&self, asked: &RunRequest) -> Result<QueueSlot<'_>, RuntimeError> {
        let capacity = self.options.queue_capacity + self.instances;
        if let Some(place) = QueueSlot::take(&self.shared, capacity, asked.rows()) {
            return Ok(place);
        }
        if self.has_room(asked) {
            return Ok(QueueSlot::add(&self.shared, asked.rows()));
        }
        Err(RuntimeError::Overloaded)
    }

    /// Fails if a request with a deadline would wait past it. `own` is the number of its own rows among those that wait
    /// or run.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Overloaded`] when the requests before it take longer. With none before it, it is tried however
    /// short the time is.
    pub(super) fn check_deadline(&self, asked: &RunRequest, own: usize) -> Result<(), RuntimeError> {
        let Some(deadline) = asked.deadline else { return Ok(()) };
        let all = self.shared.places.rows().saturating_sub(own);
        let is_in_time = |rows| {
            let before = rows / self.instances.max(1);
            before == 0 || asked.since + self.shared.pace.expected(before) <= deadline
        };
        // The waiting requests are counted one by one only if the total would be too many.
        if is_in_time(all) || is_in_time(self.rows_before(asked, all)) {
            return Ok(());
        }
        Err(RuntimeError::Overloaded)
    }

    /// Returns true if the queue is not full, or if a caller with more requests gave up its last place for this one.
    ///
    /// Most requests that find the queues full come from the callers that fill them; the counts alone refuse those.
    fn has_room(&self, asked: &RunRequest) -> bool {
        let (occupancy, capacity) = (&self.shared.occupancy, self.options.queue_capacity);
        if let Some(mut counts) = occupancy.counted() {
            match counts.verdict(asked, capacity) {
                Verdict::Free => return true,
                Verdict::Refused if !counts.is_search_due() => return false,
                Verdict::Refused | Verdict::GivenUpBy(_) => {}
            }
        }
        self.with_queues(|queues| has_room_for(queues, occupancy, asked, capacity))
    }

    /// Returns the rows that run before this request under fair queueing. `all` is the rows that wait or run.
    fn rows_before(&self, asked: &RunRequest, all: usize) -> usize {
        let occupancy = &self.shared.occupancy;
        if occupancy.counted().is_none() {
            self.with_queues(|queues| count(queues, occupancy));
        }
        let counts = occupancy.counted();
        counts.map_or(all, |counts| all.saturating_sub(counts.rows()) + counts.rows_before(asked))
    }

    fn with_queues<R>(&self, with: impl FnOnce(&mut [&mut Queue]) -> R) -> R {
        match &self.inner {
            Inner::InlineExecutor(lanes) => lanes.with_queues(with),
            Inner::Threads(threads) => threads.with_queues(with),
        }
    }
}

/// Returns true if the queue has room once abandoned requests are dropped, or if a caller with more requests gave up
/// its last place.
fn has_room_for(
    queues: &mut [&mut Queue],
    occupancy: &Occupancy,
    asked: &RunRequest,
    capacity: usize,
) -> bool {
    for queue in queues.iter_mut() {
        queue.drop_abandoned(occupancy);
    }
    count(queues, occupancy);
    let verdict = occupancy.counted().map(|counts| counts.verdict(asked, capacity));
    match verdict {
        Some(Verdict::Free) => true,
        Some(Verdict::GivenUpBy(caller)) => evict_last(queues, occupancy, caller, asked.priority),
        Some(Verdict::Refused) | None => false,
    }
}

/// Counts the requests in all queues, unless they are counted already.
fn count(queues: &[&mut Queue], occupancy: &Occupancy) {
    if occupancy.counted().is_none() {
        occupancy.begin(queues.iter().flat_map(|queue| queue.asked()));
    }
}

/// Refuses the last request of a caller that is not more urgent than `priority`. Returns true if there was one.
fn evict_last(queues: &mut [&mut Queue], occupancy: &Occupancy, caller: u64, priority: u8) -> bool {
    let last = queues.iter_mut().filter_map(|queue| Some((queue.last_of(caller, priority)?, queue)));
    let Some(((.., place), queue)) = last.max_by_key(|(last, _)| *last) else { return false };
    queue.give_up(place, occupancy);
    true
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        model::{Tensor, TensorData},
        runtime::scheduler::job::{Failed, Inputs, Job, RunResult},
    };

    /// The queues of a model, and the callers that wait, each with its number.
    struct Model {
        queues: Vec<Queue>,
        occupancy: Occupancy,
        capacity: usize,
        waiting: Vec<(u64, oneshot::Receiver<Result<RunResult, Failed>>)>,
        begin: Instant,
    }

    impl Model {
        fn new(queues: usize, capacity: usize) -> Self {
            let queues = (0..queues).map(|_| Queue::default()).collect();
            let (occupancy, begin) = (Occupancy::default(), Instant::now());
            Self { queues, occupancy, capacity, waiting: Vec::new(), begin }
        }

        fn has_room_for(&mut self, asked: &RunRequest) -> bool {
            let mut queues: Vec<_> = self.queues.iter_mut().collect();
            has_room_for(&mut queues, &self.occupancy, asked, self.capacity)
        }

        /// Queues a request in the next of the queues. Returns true if there was room.
        fn asks(&mut self, asked: RunRequest) -> bool {
            let is_in = self.has_room_for(&asked);
            if is_in {
                let (response, answered) = oneshot::channel();
                let next = self.waiting.len() % self.queues.len();
                self.waiting.push((asked.caller, answered));
                self.queues[next].push(Job::short(asked, response), &self.occupancy);
            }
            is_in
        }

        fn ask(&mut self, caller: u64) -> bool {
            let asked = self.request(caller, 1, 0);
            self.asks(asked)
        }

        /// Builds a request, one millisecond after the one before.
        fn request(&self, caller: u64, rows: usize, priority: u8) -> RunRequest {
            let tensor = Tensor::new(vec![rows, 1], TensorData::F32(vec![0.0; rows].into())).unwrap();
            let since = self.begin + Duration::from_millis(self.waiting.len().try_into().unwrap());
            RunRequest {
                permit: crate::auth::RunPermit::of_test(),
                inputs: Inputs::Only(tensor),
                rows: Some(rows),
                caller,
                priority,
                deadline: None,
                since,
            }
        }

        /// Returns the positions, in the order they came, of the requests that were refused since.
        fn refused(&mut self) -> Vec<usize> {
            let all = self.waiting.iter_mut().enumerate();
            all.filter_map(|(place, (_, response))| response.try_recv().is_ok().then_some(place)).collect()
        }
    }

    #[test]
    fn a_full_queue_has_a_place_for_a_caller_that_has_none() {
        for queues in [1, 3] {
            let mut model = Model::new(queues, 4);
            assert!((0..4).all(|_| model.ask(1)), "{queues}");
            assert!(!model.ask(1), "it has the most itself");
            assert!(model.ask(2));
            assert_eq!(model.refused(), [3], "the last that it asked");
            assert!(model.ask(3));
            assert_eq!(model.refused(), [2]);
        }
    }

    #[test]
    fn places_are_given_up_until_all_callers_have_as_many() {
        let mut model = Model::new(2, 25);
        assert!((0..25).all(|_| model.ask(0)));
        for _ in 0..10 {
            (1..25).for_each(|caller| {
                model.ask(caller);
            });
        }
        model.refused();
        let mut waiting: Vec<u64> = model
            .waiting
            .iter()
            .filter(|(_, response)| !response.is_terminated())
            .map(|(caller, _)| *caller)
            .collect();
        waiting.sort_unstable();
        assert_eq!(waiting, (0..25).collect::<Vec<_>>());
        assert!(!model.ask(25), "a tie is for those who came first");
    }

    #[test]
    fn among_callers_with_as_many_requests_the_one_with_most_rows_gives_way() {
        let mut model = Model::new(1, 4);
        for (caller, rows) in [(1, 1), (2, 9), (1, 1), (2, 1)] {
            let asked = model.request(caller, rows, 0);
            assert!(model.asks(asked));
        }
        assert!(model.ask(3));
        assert_eq!(model.refused(), [3]);
    }

    #[test]
    fn a_place_is_not_given_up_for_a_less_urgent_request() {
        let mut model = Model::new(1, 3);
        for priority in [5, 0, 0] {
            let asked = model.request(1, 1, priority);
            assert!(model.asks(asked));
        }
        let later = model.request(2, 1, 6);
        assert!(!model.asks(later));
        let as_urgent = model.request(2, 1, 5);
        assert!(model.asks(as_urgent));
        assert_eq!(model.refused(), [0], "the last to be run, though it came first");
    }

    #[test]
    fn requests_that_are_gone_hold_no_place() {
        let mut model = Model::new(2, 4);
        assert!((0..4).all(|_| model.ask(1)));
        model.waiting.truncate(3);
        assert!(model.ask(1));
        assert_eq!(model.refused(), [] as [usize; 0]);
    }

    #[test]
    fn what_is_counted_follows_the_queues_until_they_are_empty() {
        let mut model = Model::new(1, 3);
        assert!((0..3).all(|_| model.ask(1)));
        assert_eq!(model.occupancy.counted().unwrap().rows(), 3);
        assert_eq!(model.queues[0].take(2, &model.occupancy).len(), 2);
        assert_eq!(model.occupancy.counted().unwrap().rows(), 1);
        assert!(model.ask(1) && model.ask(2), "fewer wait than may");
        assert_eq!(model.queues[0].take(9, &model.occupancy).len(), 3);
        assert!(model.occupancy.counted().is_none(), "nothing is spent on it any more");
    }

    #[test]
    fn only_the_turns_before_a_caller_count_against_its_deadline() {
        let mut model = Model::new(1, 9);
        for (caller, rows, priority) in [(1, 7, 1), (1, 7, 1), (2, 1, 1), (3, 4, 0), (3, 4, 2)] {
            let asked = model.request(caller, rows, priority);
            assert!(model.asks(asked));
        }
        let counts = model.occupancy.counted().unwrap();
        assert_eq!(
            counts.rows_before(&model.request(4, 2, 1)),
            2 + 1 + 4,
            "a turn of each, and what is more urgent"
        );
        assert_eq!(
            counts.rows_before(&model.request(1, 2, 1)),
            14 + 1 + 4,
            "what it asked itself comes first"
        );
    }
}
