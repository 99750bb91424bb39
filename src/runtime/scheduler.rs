//! Which requests run when, on which session, together with which others.
//!
//! A model whose runs are short is run by the thread that has the request in hand ([`lanes`]): whatever else is ready on
//! that thread joins the batch, and nothing waits. One whose runs are long has threads of its own ([`threads`]), so that
//! the requests for other models go on. Which of the two it is, is decided when the model is loaded
//! ([`Options::mode`]).

mod batch;
mod entry;
mod job;
mod lanes;
mod occupancy;
mod pace;
mod queue;
mod running;
mod threads;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

pub use job::{Asked, Failed, Inputs, Ran};
pub use lanes::set_worker;
pub use running::Running;

use super::{Instance, RuntimeError};
use crate::model::{Constants, ScheduleMode, Signature, Value};
use job::{Job, Place};
use lanes::Lanes;
use occupancy::Occupancy;
use pace::Pace;
use running::Whole;
use threads::Threads;

/// The longest run on a thread that has other requests in hand: a larger batch is run in parts, with the others between.
const LONGEST_TURN: Duration = Duration::from_millis(2);

/// How a model is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// On whose threads.
    pub mode: ScheduleMode,
    /// Whether rows of several requests may be run together, and those of one apart.
    pub batching: bool,
    /// The most rows of one run.
    pub max_batch_rows: usize,
    /// How long a batch waits for more rows; only on threads of its own.
    pub max_delay: Duration,
    /// How many requests may wait.
    pub queue_capacity: usize,
    /// How long a run of one row took when the model was proven.
    pub run: Duration,
    /// How long a run of 32 rows took, if it takes that many.
    pub run_32_rows: Option<Duration>,
}

/// The sessions of a model, and who waits for them.
#[derive(Debug)]
pub struct Scheduler {
    inner: Inner,
    options: Options,
    /// The most rows of one run.
    max_rows: usize,
    instances: usize,
    /// True once anyone asked for a run.
    was_asked: AtomicBool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Inner {
    Lanes(Lanes),
    Threads(Threads),
}

/// What those who run share with those who wait.
#[derive(Debug)]
struct Shared {
    /// Requests that wait or run.
    places: job::Places,
    /// Requests that wait by caller, counted while the queues are full.
    occupancy: Occupancy,
    pace: Pace,
    signature: Signature,
    /// Outputs that each request of a batch gets whole.
    constants: Constants,
}

impl Scheduler {
    /// Runs these instances, of which there must be one at least. `constants` are outputs that are the same for all rows.
    ///
    /// # Errors
    ///
    /// When a thread cannot be had.
    pub fn new(
        instances: Vec<Instance>,
        options: Options,
        constants: Constants,
    ) -> Result<Self, RuntimeError> {
        let none = || RuntimeError::Load("there is no session of it".to_owned());
        let signature = instances.first().ok_or_else(none)?.signature().clone();
        let pace = Pace::new(options.run, options.run_32_rows);
        let most = options.max_batch_rows.max(1);
        let max_rows = match options.mode {
            ScheduleMode::RequestThread => pace.rows_within(LONGEST_TURN).clamp(1, most),
            ScheduleMode::OwnThreads => most,
        };
        let count = instances.len();
        let shared = Arc::new(Shared {
            places: job::Places::default(),
            occupancy: Occupancy::default(),
            pace,
            signature,
            constants,
        });
        let inner = match options.mode {
            ScheduleMode::RequestThread => Inner::Lanes(Lanes::new(instances, max_rows, &shared)?),
            ScheduleMode::OwnThreads => Inner::Threads(Threads::start(instances, options, &shared)?),
        };
        Ok(Self { inner, options, max_rows, instances: count, was_asked: AtomicBool::new(false), shared })
    }

    /// Whether a run is over before anyone could stop waiting for it.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        matches!(self.inner, Inner::Lanes(_))
    }

    /// How many sessions there are.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// Returns true if anyone ever asked for a run.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }

    /// How many requests wait for a run; those that are being run are not among them.
    #[must_use]
    pub fn requests_waiting(&self) -> usize {
        match &self.inner {
            Inner::Lanes(lanes) => lanes.requests_waiting(),
            Inner::Threads(threads) => threads.requests_waiting(),
        }
    }

    /// Runs the model, alone or with what others ask. The request stands in line from this call on.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Overloaded`] when too many wait, or so many that the deadline cannot be met, and later when the
    /// caller gives up its place for one that has fewer; else as [`Instance::run`].
    pub fn run(&self, asked: Asked) -> Running<'_> {
        match asked.rows {
            Some(rows) if self.options.batching && rows > self.max_rows => {
                Running::in_parts(self.run_in_parts(asked, rows))
            }
            _ => Running::whole(self.enter(asked)),
        }
    }

    fn enter(&self, mut asked: Asked) -> Result<Whole<'_>, RuntimeError> {
        if !self.options.batching {
            asked.rows = None;
        }
        if !self.was_asked() {
            // Read first: written by all threads, it would be sent from one to the other.
            self.was_asked.store(true, Ordering::Relaxed);
        }
        // First, so that no other caller gives up its place for a request that is refused all the same.
        self.check_deadline(&asked, 0)?;
        let place = self.place_of(&asked)?;
        Ok(self.wait(asked, Some(place)))
    }

    /// Lets a request wait, which gives its place back when it has its answer.
    fn wait<'s>(&'s self, asked: Asked, place: Option<Place<'s>>) -> Whole<'s> {
        let deadline = asked.deadline;
        let (answer, answered) = oneshot::channel();
        let waiting = match &self.inner {
            Inner::Lanes(lanes) => {
                lanes.add(Job::short(asked, answer));
                None
            }
            Inner::Threads(threads) => {
                let (job, waiting) = Job::long(asked, answer);
                threads.add(job);
                Some(waiting)
            }
        };
        Whole { answered, deadline, _waiting: waiting, _place: place }
    }

    /// Runs parts one after the other, with what others ask between.
    async fn run_in_parts(&self, asked: Asked, rows: usize) -> Result<Ran, Failed> {
        let Asked { inputs, caller, priority, deadline, mut since, .. } = asked;
        let mut outputs: Vec<Value> = Vec::new();
        let mut whole: Option<Ran> = None;
        // Kept until all are run: a request that was begun is not refused because others came since.
        let mut place = None;
        // Of one size, so that no small rest is left.
        let size = rows.div_ceil(rows.div_ceil(self.max_rows));
        for start in (0..rows).step_by(size) {
            let range = start..rows.min(start + size);
            let part = inputs.rows(range.clone()).ok_or_else(|| not_by_row("its inputs"))?;
            let asked = Asked { inputs: part, rows: Some(range.len()), caller, priority, deadline, since };
            // The place stands for a part.
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
