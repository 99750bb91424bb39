//! Waiting requests by caller: counted from when the queues of a model are full until they are empty.
//!
//! A full queue is shared by max-min fairness (Bertsekas, Gallager, *Data Networks*, section 6.5.2). The caller with
//! most requests waiting gives up its last one for a caller that has fewer, until all have the same number. Places are
//! counted by request, as the capacity is; among callers with the same number of requests, the one with most rows gives
//! way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::job::RunRequest;

/// Number of requests searched for each refusal, to find abandoned ones: so the cost of a refusal does not grow with
/// the queue.
const REQUESTS_A_REFUSAL: usize = 8;

/// Counts of the requests that wait, shared by all queues of a model.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    /// Changes only while all queues are locked, or none holds a request.
    is_counted: AtomicBool,
    counts: Mutex<Counts>,
}

/// Requests that wait, by caller.
#[derive(Debug, Default)]
pub(super) struct Counts {
    callers: HashMap<u64, Held>,
    /// Requests, rows and number of each caller.
    ranking: BTreeSet<(usize, usize, u64)>,
    requests: usize,
    rows: usize,
    /// Refusals since the queues were last searched.
    refusals: usize,
}

/// Requests of one caller.
#[derive(Debug, Default)]
struct Held {
    requests: usize,
    rows: usize,
    /// Requests and rows by priority.
    levels: BTreeMap<u8, (usize, usize)>,
}

/// Decision on a request when the queues are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is room: other requests run, and fewer wait than the capacity.
    Free,
    /// This caller gives up its last place.
    GivenUpBy(u64),
    /// No caller has more than the newcomer would have.
    Refused,
}

impl Occupancy {
    /// Returns the counts; `None` while the queues have not been full, so that nothing is spent on them.
    pub(super) fn counted(&self) -> Option<MutexGuard<'_, Counts>> {
        self.is_counted.load(Ordering::Relaxed).then(|| self.counts())
    }

    /// Begins to count with these requests. All queues must be locked.
    pub(super) fn begin<'a>(&self, waiting: impl Iterator<Item = &'a RunRequest>) {
        let mut counts = self.counts();
        *counts = Counts::default();
        waiting.for_each(|asked| counts.add(asked));
        self.is_counted.store(true, Ordering::Relaxed);
    }

    /// Ends the counting if no request waits any more.
    pub(super) fn end_if_empty(&self, counts: &mut Counts) {
        if counts.requests == 0 {
            self.is_counted.store(false, Ordering::Relaxed);
            *counts = Counts::default();
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(super) fn add(&mut self, asked: &RunRequest) {
        self.requests += 1;
        self.rows += asked.rows();
        let held = self.callers.entry(asked.caller).or_default();
        self.ranking.remove(&(held.requests, held.rows, asked.caller));
        held.requests += 1;
        held.rows += asked.rows();
        let (requests, rows) = held.levels.entry(asked.priority).or_default();
        *requests += 1;
        *rows += asked.rows();
        self.ranking.insert((held.requests, held.rows, asked.caller));
    }

    pub(super) fn remove(&mut self, asked: &RunRequest) {
        // A request that joined before the counting began is unknown here, and must not be subtracted from others.
        let Some(held) = self.callers.get_mut(&asked.caller) else { return };
        let Some((requests, rows)) = held.levels.get_mut(&asked.priority) else { return };
        self.ranking.remove(&(held.requests, held.rows, asked.caller));
        self.requests = self.requests.saturating_sub(1);
        self.rows = self.rows.saturating_sub(asked.rows());
        held.requests = held.requests.saturating_sub(1);
        held.rows = held.rows.saturating_sub(asked.rows());
        *requests = requests.saturating_sub(1);
        *rows = rows.saturating_sub(asked.rows());
        if *requests == 0 {
            held.levels.remove(&asked.priority);
        }
        if held.levels.is_empty() {
            self.callers.remove(&asked.caller);
        } else {
            self.ranking.insert((held.requests, held.rows, asked.caller));
        }
    }

    /// Decides on a request. Abandoned requests count like any other.
    pub(super) fn verdict(&self, newcomer: &RunRequest, capacity: usize) -> Verdict {
        if self.requests < capacity {
            return Verdict::Free;
        }
        let own = self.callers.get(&newcomer.caller).map_or(0, |held| held.requests);
        // A difference of one would only turn it round: on a tie, the caller that came first keeps its place.
        let larger = self.ranking.iter().rev().take_while(|(requests, ..)| *requests > own + 1);
        let mut callers = larger.map(|(.., caller)| *caller);
        callers
            .find(|caller| self.holds_no_more_urgent(*caller, newcomer.priority))
            .map_or(Verdict::Refused, Verdict::GivenUpBy)
    }

    /// Counts a refusal. Returns true if it is time to search the queues for abandoned requests.
    pub(super) fn is_search_due(&mut self) -> bool {
        self.refusals += 1;
        let is_due = self.refusals > self.requests / REQUESTS_A_REFUSAL;
        if is_due {
            self.refusals = 0;
        }
        is_due
    }

    /// Returns the rows that run before this request under fair queueing.
    pub(super) fn rows_before(&self, newcomer: &RunRequest) -> usize {
        let own = self.callers.get(&newcomer.caller).map_or(0, |held| held.rows);
        let turn = own + newcomer.rows();
        let before = |(caller, held): (&u64, &Held)| {
            let rows_at = |level| held.levels.get(&level).map_or(0, |(_, rows)| *rows);
            let urgent: usize = held.levels.range(..newcomer.priority).map(|(_, (_, rows))| rows).sum();
            let equal = rows_at(newcomer.priority);
            urgent + if *caller == newcomer.caller { equal } else { equal.min(turn) }
        };
        self.callers.iter().map(before).sum()
    }

    /// Returns the rows of all waiting requests.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns true if the caller has a request that is no more urgent than `priority`.
    fn holds_no_more_urgent(&self, caller: u64, priority: u8) -> bool {
        self.callers.get(&caller).is_some_and(|held| held.levels.range(priority..).next().is_some())
    }
}
