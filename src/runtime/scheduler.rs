//! Scheduling of requests: when each runs, on which instance, and in which batch.
//!
//! A model with short runs is run by the thread that handles the request ([`inline_executor`]). Whatever else is ready on that
//! thread joins the batch, and nothing waits. A model with long runs has threads of its own ([`thread_pool`]), so that
//! requests for other models go on. The mode is chosen when the model is loaded ([`Options::mode`]).

mod batch;
mod cost_model;
mod entry;
mod inline_executor;
mod job;
mod occupancy;
mod pending_run;
mod queue;
mod thread_pool;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

pub use inline_executor::set_worker;
pub use job::{Failed, Inputs, RunRequest, RunResult};
pub use pending_run::Running;

use self::{
    cost_model::CostModel,
    inline_executor::InlineExecutor,
    job::{Job, QueueSlot},
    occupancy::Occupancy,
    pending_run::Whole,
    thread_pool::Threads,
};
use super::{Instance, RuntimeError};
use crate::model::{Constants, ScheduleMode, Signature, Value};

/// The longest run on a thread that handles other requests: a larger batch is run in parts, with the others between.
const LONGEST_TURN: Duration = Duration::from_millis(2);

/// Settings of a model's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The threads that run it: those of the requests, or its own.
    pub mode: ScheduleMode,
    /// True if rows of several requests may be run together, and rows of one request separately.
    pub batching: bool,
    /// The most rows of one run.
    pub max_batch_rows: usize,
    /// The time that a batch waits for more rows; only for a model with threads of its own.
    pub max_delay: Duration,
    /// The most requests that may wait.
    pub queue_capacity: usize,
    /// The time of a run of one row, measured by the proof.
    pub run: Duration,
    /// The time of a run of 32 rows, measured by the proof; `None` if it takes fewer.
    pub run_32_rows: Option<Duration>,
}

/// The instances of a model, and the requests that wait for them.
#[derive(Debug)]
pub struct Scheduler {
    inner: Inner,
    options: Options,
    /// The most rows of one run.
    max_rows: usize,
    instances: usize,
    /// True since the first request for a run.
    was_used: AtomicBool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Inner {
    InlineExecutor(InlineExecutor),
    Threads(Threads),
}

/// State that running and waiting requests share.
#[derive(Debug)]
struct Shared {
    /// Count of the requests that wait or run.
    places: job::QueueSlots,
    /// Waiting requests by caller, counted while the queues are full.
    occupancy: Occupancy,
    pace: CostModel,
    signature: Signature,
    /// Outputs that are not split: each request of a batch gets them whole.
    constants: Constants,
}

impl Scheduler {
    /// Starts a scheduler for these instances, of which there must be at least one. `constants` are outputs that are
    /// the same for all rows.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn new(
        instances: Vec<Instance>,
        options: Options,
        constants: Constants,
    ) -> Result<Self, RuntimeError> {
        let none = || RuntimeError::Load("there is no instance of it".to_owned());
        let signature = instances.first().ok_or_else(none)?.signature().clone();
        let pace = CostModel::new(options.run, options.run_32_rows);
        let most = options.max_batch_rows.max(1);
        let max_rows = match options.mode {
            ScheduleMode::RequestThread => pace.rows_within(LONGEST_TURN).clamp(1, most),
            ScheduleMode::OwnThreads => most,
        };
        let count = instances.len();
        let shared = Arc::new(Shared {
            places: job::QueueSlots::default(),
            occupancy: Occupancy::default(),
            pace,
            signature,
            constants,
        });
        let inner = match options.mode {
            ScheduleMode::RequestThread => {
                Inner::InlineExecutor(InlineExecutor::new(instances, max_rows, &shared)?)
            }
            ScheduleMode::OwnThreads => Inner::Threads(Threads::start(instances, options, &shared)?),
        };
        Ok(Self { inner, options, max_rows, instances: count, was_used: AtomicBool::new(false), shared })
    }

    /// Returns true if runs are too short to be cancelled.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        matches!(self.inner, Inner::InlineExecutor(_))
    }

    /// Returns the number of instances.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// Returns true if a run was ever requested.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that wait for a run, without those that are running.
    #[must_use]
    pub fn requests_waiting(&self) -> usize {
        match &self.inner {
            Inner::InlineExecutor(lanes) => lanes.requests_waiting(),
            Inner::Threads(threads) => threads.requests_waiting(),
        }
    }

    /// Runs the model for one request, alone or in a batch. The request is in the queue from this call on.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Overloaded`] when the queue is full or the deadline cannot be met. The request gets it later too
    /// if it gives up its place to a caller that has fewer. Otherwise as [`Instance::run`].
    pub fn run(&self, asked: RunRequest) -> Running<'_> {
        match asked.rows {
            Some(rows) if self.options.batching && rows > self.max_rows => {
                Running::in_parts(self.run_in_parts(asked, rows))
            }
            _ => Running::whole(self.enter(asked)),
        }
    }

    fn enter(&self, mut asked: RunRequest) -> Result<Whole<'_>, RuntimeError> {
        if !self.options.batching {
            asked.rows = None;
        }
        if !self.was_used() {
            // Read first: a write from every thread would move the cache line from one to the other.
            self.was_used.store(true, Ordering::Relaxed);
        }
        // Before taking a place, so that no other caller gives up its own for a request that is refused anyway.
        self.check_deadline(&asked, 0)?;
        let place = self.place_of(&asked)?;
        Ok(self.wait(asked, Some(place)))
    }

    /// Queues a request, which releases its place when it has its result.
    fn wait<'s>(&'s self, asked: RunRequest, place: Option<QueueSlot<'s>>) -> Whole<'s> {
        let deadline = asked.deadline;
        let (response, answered) = oneshot::channel();
        let waiting = match &self.inner {
            Inner::InlineExecutor(lanes) => {
                lanes.add(Job::short(asked, response));
                None
            }
            Inner::Threads(threads) => {
                let (job, waiting) = Job::long(asked, response);
                threads.add(job);
                Some(waiting)
            }
        };
        Whole { answered, deadline, _waiting: waiting, _place: place }
    }

    /// Runs parts one after the other, with other requests between.
    async fn run_in_parts(&self, asked: RunRequest, rows: usize) -> Result<RunResult, Failed> {
        let RunRequest { permit, inputs, caller, priority, deadline, mut since, .. } = asked;
        let mut outputs: Vec<Value> = Vec::new();
        let mut whole: Option<RunResult> = None;
        // Kept until all parts are run: a request that was begun is not refused because others came since.
        let mut place = None;
        // Parts of one size, so that no small rest is left.
        let size = rows.div_ceil(rows.div_ceil(self.max_rows));
        for start in (0..rows).step_by(size) {
            let range = start..rows.min(start + size);
            let part = inputs.rows(range.clone()).ok_or_else(|| not_by_row("its inputs"))?;
            let asked = RunRequest {
                permit,
                inputs: part,
                rows: Some(range.len()),
                caller,
                priority,
                deadline,
                since,
            };
            // The place stands for one part.
            self.check_deadline(&asked, if place.is_some() { size } else { 0 })?;
            if place.is_none() {
                place = Some(self.place_of(&asked)?);
            }
            let mut ran = self.wait(asked, None).await?;
            let queued = ran.queued;
            since = ran.ended;
            let part = ran.take_outputs().ok_or_else(|| not_by_row("its outputs"))?;
            if !self.shared.constants.hold_rows(&part, range.len()) {
                return Err(Failed::on(not_by_row("its outputs"), inputs));
            }
            match &mut whole {
                None => (whole, outputs) = (Some(ran), part),
                Some(whole) => {
                    // One by one, so that there is never a second copy of all of them.
                    let constants = &self.shared.constants;
                    let mut parts = outputs.iter_mut().zip(part).enumerate();
                    if !parts.all(|(index, (output, part))| constants.contains(index) || output.append(part))
                    {
                        return Err(Failed::on(not_by_row("its outputs"), inputs));
                    }
                    whole.queued += queued;
                    whole.duration += ran.duration;
                    whole.runs += ran.runs;
                    whole.ended = ran.ended;
                }
            }
        }
        let mut whole = whole.ok_or_else(|| not_by_row("its inputs"))?;
        whole.replace(inputs, outputs, rows);
        Ok(whole)
    }
}

fn not_by_row(what: &str) -> RuntimeError {
    RuntimeError::Run(format!("{what} do not hold one row for each row that was asked"))
}
