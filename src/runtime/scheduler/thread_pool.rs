//! Long runs, on threads of the model's own: one for each instance.
//!
//! The manager starts these threads, so they have its lower priority, and long runs give way to short requests.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Options, RuntimeError, Shared, batch,
    job::{Job, Run},
    queue::Queue,
};
use crate::runtime::{Instance, STACK_BYTES};

/// The time that dropping a model waits for its runs, which are cancelled by then, to end and free their memory.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The threads of a model.
#[derive(Debug)]
pub(super) struct Threads {
    desk: Arc<WorkQueue>,
    /// Disconnects when all threads have ended with their instances, as each holds a sender.
    ended: Mutex<Receiver<()>>,
}

/// The queue between requests and threads.
#[derive(Debug)]
struct WorkQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    options: Options,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: Queue,
    is_closed: bool,
}

impl Threads {
    pub(super) fn start(
        instances: Vec<Instance>,
        options: Options,
        shared: &Arc<Shared>,
    ) -> Result<Self, RuntimeError> {
        let desk = Arc::new(WorkQueue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            options,
            shared: Arc::clone(shared),
        });
        let (alive, ended) = channel();
        // From now on, dropping it closes the desk, which ends the threads that have begun.
        let all = Self { desk, ended: Mutex::new(ended) };
        for instance in instances {
            let (desk, alive) = (Arc::clone(&all.desk), alive.clone());
            let thread = thread::Builder::new().name("model".to_owned()).stack_size(STACK_BYTES);
            let started = thread.spawn(move || {
                desk.serve(instance);
                drop(alive);
            });
            started.map_err(|error| RuntimeError::Load(format!("its thread cannot be started: {error}")))?;
        }
        Ok(all)
    }

    pub(super) fn add(&self, job: Job) {
        self.desk.waiting().queue.push(job, &self.desk.shared.occupancy);
        self.desk.changed.notify_one();
    }

    /// Calls `with` with the queue locked.
    pub(super) fn with_queues<R>(&self, with: impl FnOnce(&mut [&mut Queue]) -> R) -> R {
        with(&mut [&mut self.desk.waiting().queue])
    }

    pub(super) fn requests_waiting(&self) -> usize {
        self.desk.waiting().queue.requests()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.desk.waiting().is_closed = true;
        self.desk.changed.notify_all();
        // The code that drops a model returns its memory to the system next, so its session must be gone by then.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "a model that was taken out of service still runs, though its runs were terminated"
            );
        }
    }
}

impl WorkQueue {
    /// Locks the queue, for a few instructions at a time.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs jobs until the desk is closed.
    fn serve(&self, mut instance: Instance) {
        while let Some(jobs) = self.next() {
            match Run::of(&jobs) {
                Ok(run) => batch::run(&mut instance, jobs, &run.options, &self.shared),
                Err(error) => {
                    for job in jobs {
                        let _ = job.response.send(Err(error.clone().into()));
                    }
                }
            }
        }
    }

    /// Waits for the next batch; `None` when the desk is closed.
    fn next(&self) -> Option<Vec<Job>> {
        let Options { batching, max_batch_rows, max_delay, .. } = self.options;
        let mut waiting = self.waiting();
        loop {
            if waiting.is_closed {
                return None;
            }
            let Some(since) = waiting.queue.since() else {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = (since + max_delay).saturating_duration_since(Instant::now());
            if batching && !left.is_zero() && waiting.queue.rows() < max_batch_rows {
                let woken = self.changed.wait_timeout(waiting, left);
                waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let batch = waiting.queue.take(max_batch_rows, &self.shared.occupancy);
            if !batch.is_empty() {
                if !waiting.queue.is_empty() {
                    // The other requests are for an idle thread.
                    self.changed.notify_one();
                }
                return Some(batch);
            }
        }
    }
}
