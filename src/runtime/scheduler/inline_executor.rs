//! Short runs, on the threads of the requests.
//!
//! Each thread has a lane with an instance of its own, so that no thread waits for another. The first request begins a
//! task that runs the batch. That task stands last in the thread's queue, so every request that is ready by then joins.
//! A lone request waits for nothing; under load, batches grow with the load.

use std::{
    cell::Cell,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use ort::session::RunOptions;
use tokio::runtime::Handle;

use super::{RuntimeError, Shared, batch, job::Job, queue::Queue};
use crate::runtime::Instance;

/// The number for the next thread that `set_worker` did not number.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<Option<ThreadIndex>> = const { Cell::new(None) };
}

/// Number and role of a thread.
#[derive(Clone, Copy)]
struct ThreadIndex {
    number: usize,
    /// True if it is one of the threads that handle requests.
    is_worker: bool,
}

/// Numbers this thread among those that handle requests, so that they share the instances evenly.
pub fn set_worker(number: usize) {
    PLACE.set(Some(ThreadIndex { number, is_worker: true }));
}

fn place() -> ThreadIndex {
    PLACE.get().unwrap_or_else(|| {
        let place = ThreadIndex { number: NEXT.fetch_add(1, Ordering::Relaxed), is_worker: false };
        PLACE.set(Some(place));
        place
    })
}

/// A lane for each instance.
#[derive(Debug)]
pub(super) struct InlineExecutor(Vec<Arc<InlineThread>>);

struct InlineThread {
    waiting: Mutex<Waiting>,
    instance: Mutex<Instance>,
    options: RunOptions,
    max_rows: usize,
    shared: Arc<Shared>,
    /// The thread that owns the lane, once it has run a request.
    home: OnceLock<Handle>,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: Queue,
    is_led: bool,
}

impl InlineExecutor {
    pub(super) fn new(
        instances: Vec<Instance>,
        max_rows: usize,
        shared: &Arc<Shared>,
    ) -> Result<Self, RuntimeError> {
        let lane = |instance| {
            let options = RunOptions::new().map_err(|error| RuntimeError::Run(error.message().to_owned()))?;
            let (waiting, instance) = (Mutex::default(), Mutex::new(instance));
            let (shared, home) = (Arc::clone(shared), OnceLock::new());
            Ok(Arc::new(InlineThread { waiting, instance, options, max_rows, shared, home }))
        };
        Ok(Self(instances.into_iter().map(lane).collect::<Result<_, RuntimeError>>()?))
    }

    /// Queues a job in the lane of this thread.
    pub(super) fn add(&self, job: Job) {
        let ThreadIndex { number, is_worker } = place();
        let Some(lane) = self.0.get(number % self.0.len().max(1)) else {
            let _ = job.response.send(Err(RuntimeError::Internal("the model has no instance").into()));
            return;
        };
        let mut waiting = lane.waiting();
        waiting.queue.push(job, &lane.shared.occupancy);
        if !mem::replace(&mut waiting.is_led, true) {
            drop(waiting);
            let lead = Leader(Arc::clone(lane)).lead();
            // A thread that is not a worker may do something long between two batches, while others wait in the lane.
            match lane.home.get() {
                Some(home) if !is_worker => home.spawn(lead),
                home => {
                    if is_worker && home.is_none() {
                        let _ = lane.home.set(Handle::current());
                    }
                    tokio::spawn(lead)
                }
            };
        }
    }

    /// Calls `with` with all queues locked.
    pub(super) fn with_queues<R>(&self, with: impl FnOnce(&mut [&mut Queue]) -> R) -> R {
        let mut lanes: Vec<_> = self.0.iter().map(|lane| lane.waiting()).collect();
        with(&mut lanes.iter_mut().map(|waiting| &mut waiting.queue).collect::<Vec<_>>())
    }

    pub(super) fn requests_waiting(&self) -> usize {
        self.0.iter().map(|lane| lane.waiting().queue.requests()).sum()
    }
}

impl fmt::Debug for InlineThread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lane").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl InlineThread {
    /// Locks the queue, for a few instructions at a time.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // The queue is valid at every point where a panic could leave it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next batch; an empty one ends the leadership.
    fn take(&self) -> Vec<Job> {
        let mut waiting = self.waiting();
        let batch = waiting.queue.take(self.max_rows, &self.shared.occupancy);
        waiting.is_led = !batch.is_empty();
        batch
    }
}

/// The task that runs what is in a lane.
struct Leader(Arc<InlineThread>);

impl Leader {
    async fn lead(self) {
        let Self(lane) = &self;
        loop {
            let batch = lane.take();
            if batch.is_empty() {
                return;
            }
            {
                let mut instance = lane.instance.lock().unwrap_or_else(PoisonError::into_inner);
                batch::run(&mut instance, batch, &lane.options, &lane.shared);
            }
            // Requests that have their results now write their responses, and others that are ready join.
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // A thread that ends drops its leader; another one must be able to begin.
        self.0.waiting().is_led = false;
    }
}
