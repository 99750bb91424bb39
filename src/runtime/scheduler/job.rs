//! A request that waits for its run.

use std::{
    fmt, mem,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ort::session::RunOptions;
use tokio::sync::oneshot;

use super::{RuntimeError, Shared};
use crate::model::{Constants, Tensor, Value};

/// What is asked of a model.
#[derive(Debug)]
pub struct Asked {
    /// What it is given.
    pub inputs: Inputs,
    /// How many rows that is, if all inputs have as many; only such requests are run together with others.
    pub rows: Option<usize>,
    /// Who asks: those who ask for little do not wait for those who ask for much.
    pub caller: u64,
    /// Whose turn it is first: 0 before 1, and so on.
    pub priority: u8,
    /// When nobody waits any more.
    pub deadline: Option<Instant>,
    /// Since when it waits.
    pub since: Instant,
}

impl Asked {
    /// What it counts for in the queue.
    pub(super) fn rows(&self) -> usize {
        self.rows.unwrap_or(1)
    }
}

/// The inputs of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// By name.
    Named(Vec<(String, Tensor)>),
    /// The one of a model that has no other.
    Only(Tensor),
}

impl Inputs {
    /// Whether every number in them is one that JSON can carry: no NaN, no infinity.
    #[must_use]
    pub fn are_finite(&self) -> bool {
        self.tensors().all(|tensor| tensor.data().is_finite())
    }

    /// The memory that their elements take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tensors().map(|tensor| tensor.data().bytes()).sum()
    }

    /// Every tensor, in the order in which they were given.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let (named, only) = match self {
            Self::Named(named) => (named.as_slice(), None),
            Self::Only(only) => (Default::default(), Some(only)),
        };
        named.iter().map(|(_, tensor)| tensor).chain(only)
    }

    /// Some rows of each.
    pub(super) fn rows(&self, rows: Range<usize>) -> Option<Self> {
        Some(match self {
            Self::Named(named) => {
                let part =
                    |(name, tensor): &(String, Tensor)| Some((name.clone(), tensor.rows(rows.clone())?));
                Self::Named(named.iter().map(part).collect::<Option<_>>()?)
            }
            Self::Only(only) => Self::Only(only.rows(rows)?),
        })
    }
}

/// Every output of a batch, in the order of the signature.
#[derive(Clone, Debug)]
pub(super) struct Outputs {
    pub(super) values: Arc<Vec<Value>>,
    /// Outputs that are not cut into rows.
    pub(super) constants: Constants,
}

/// A request that got no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Why.
    pub error: RuntimeError,
    /// The inputs of the run; `None` if the model was not run.
    pub inputs: Option<Box<Inputs>>,
}

impl Failed {
    /// A run on these inputs that failed.
    pub(super) fn on(error: RuntimeError, inputs: Inputs) -> Self {
        Self { error, inputs: Some(Box::new(inputs)) }
    }
}

impl From<RuntimeError> for Failed {
    fn from(error: RuntimeError) -> Self {
        Self { error, inputs: None }
    }
}

/// What a run gave, and how long it took.
#[derive(Debug)]
pub struct Ran {
    outputs: Outputs,
    /// The rows of this request in the batch; nothing when all of it is this request's.
    rows: Option<Range<usize>>,
    /// What it was given.
    pub inputs: Inputs,
    /// The time before the run.
    pub queued: Duration,
    /// The time inside ONNX Runtime, others' rows included.
    pub duration: Duration,
    /// How many rows were run together.
    pub batch_rows: usize,
    /// When the run was over.
    pub ended: Instant,
    /// The runs that are counted with this request: none when another one of its batch stands for it.
    pub runs: u64,
}

impl Ran {
    pub(super) fn new(
        outputs: Outputs,
        rows: Option<Range<usize>>,
        inputs: Inputs,
        (begun, ended): (Instant, Instant),
        since: Instant,
        batch_rows: usize,
        runs: u64,
    ) -> Self {
        let queued = begun.saturating_duration_since(since);
        Self { outputs, rows, inputs, queued, duration: ended - begun, batch_rows, ended, runs }
    }

    /// The outputs of the batch.
    #[must_use]
    pub fn batch(&self) -> &[Value] {
        &self.outputs.values
    }

    /// Returns true if the output at this position is the same for all rows, and so belongs whole to each request.
    #[must_use]
    pub fn is_constant(&self, output: usize) -> bool {
        self.outputs.constants.contains(output)
    }

    /// Which rows of the batch are this request's; nothing when all are.
    #[must_use]
    pub fn rows(&self) -> Option<Range<usize>> {
        self.rows.clone()
    }

    /// The outputs of this request, in the order of the signature; nothing when the batch does not hold its rows, or for
    /// the second time.
    pub fn take_outputs(&mut self) -> Option<Vec<Value>> {
        let values = mem::take(&mut self.outputs.values);
        match &self.rows {
            Some(rows) => self.outputs.constants.rows_of(&values, rows),
            None => Some(Arc::unwrap_or_clone(values)),
        }
    }

    pub(super) fn replace(&mut self, inputs: Inputs, outputs: Vec<Value>, rows: usize) {
        (self.inputs, self.outputs.values, self.rows) = (inputs, Arc::new(outputs), None);
        self.batch_rows = rows;
    }
}

pub(super) type Answer = oneshot::Sender<Result<Ran, Failed>>;

/// A request in a queue.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) asked: Asked,
    pub(super) answer: Answer,
    /// Nothing where a run is too short to be ended.
    state: Option<Arc<Mutex<State>>>,
}

/// How far a request is.
#[derive(Debug)]
enum State {
    Waits,
    Runs(Arc<Run>),
    IsGone,
}

/// A run that ends when nobody waits for it any more.
pub(super) struct Run {
    pub(super) options: RunOptions,
    waiting: AtomicUsize,
}

impl fmt::Debug for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Run").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Run {
    /// # Errors
    ///
    /// When ONNX Runtime gives no options.
    pub(super) fn of(jobs: &[Job]) -> Result<Arc<Self>, RuntimeError> {
        let options = RunOptions::new().map_err(|error| RuntimeError::Run(error.message().to_owned()))?;
        let run = Arc::new(Self { options, waiting: AtomicUsize::new(jobs.len()) });
        for job in jobs {
            job.runs(&run);
        }
        Ok(run)
    }

    fn leave(&self) {
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1
            && let Err(error) = self.options.terminate()
        {
            tracing::warn!(error = error.message(), "a run could not be told to end");
        }
    }
}

impl Job {
    /// A job whose run is too short to be ended.
    pub(super) fn short(asked: Asked, answer: Answer) -> Self {
        Self { asked, answer, state: None }
    }

    /// A job, and what its caller holds on to as long as it waits.
    pub(super) fn long(asked: Asked, answer: Answer) -> (Self, Waiting) {
        let state = Arc::new(Mutex::new(State::Waits));
        let waiting = Waiting(Arc::clone(&state));
        (Self { state: Some(state), ..Self::short(asked, answer) }, waiting)
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_gone(&self, now: Instant) -> bool {
        self.answer.is_closed() || self.asked.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn runs(&self, run: &Arc<Run>) {
        let Some(state) = &self.state else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::IsGone) {
            drop(state);
            run.leave();
        } else {
            *state = State::Runs(Arc::clone(run));
        }
    }
}

/// Someone who waits for a job. Dropped before the answer is there, it ends the run of which nobody else wants anything.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Mutex<State>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Runs(run) = mem::replace(&mut *state, State::IsGone) {
            drop(state);
            run.leave();
        }
    }
}

/// How many requests and rows wait or run.
#[derive(Debug, Default)]
pub(super) struct Places {
    requests: AtomicUsize,
    rows: AtomicUsize,
}

impl Places {
    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

/// A place among those who wait or run, given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'s> {
    places: &'s Places,
    rows: usize,
}

impl<'s> Place<'s> {
    pub(super) fn take(shared: &'s Shared, capacity: usize, rows: usize) -> Option<Self> {
        let places = &shared.places;
        let next = |count: usize| (count < capacity).then_some(count + 1);
        places.requests.try_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        places.rows.fetch_add(rows, Ordering::Relaxed);
        Some(Self { places, rows })
    }

    /// A place beyond the capacity.
    pub(super) fn add(shared: &'s Shared, rows: usize) -> Self {
        let places = &shared.places;
        places.requests.fetch_add(1, Ordering::Relaxed);
        places.rows.fetch_add(rows, Ordering::Relaxed);
        Self { places, rows }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.requests.fetch_sub(1, Ordering::Relaxed);
        self.places.rows.fetch_sub(self.rows, Ordering::Relaxed);
    }
}
