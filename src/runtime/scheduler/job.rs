//! A request in the queue, and the result of its run.

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
use crate::{
    auth::RunPermit,
    model::{Constants, Tensor, Value},
};

/// A request to run a model.
#[derive(Debug)]
pub struct RunRequest {
    /// The permission to run the model.
    pub permit: RunPermit,
    /// The input tensors.
    pub inputs: Inputs,
    /// The number of rows, if all inputs have as many. Only such requests are batched; `None` for others.
    pub rows: Option<usize>,
    /// The caller: fair queueing keeps one with few requests from waiting for one with many.
    pub caller: u64,
    /// The priority: 0 runs before 1, and so on.
    pub priority: u8,
    /// The time after which the caller stops waiting; `None` if it does not.
    pub deadline: Option<Instant>,
    /// The time when it was queued.
    pub since: Instant,
}

impl RunRequest {
    /// Returns the rows it counts for in the queue.
    pub(super) fn rows(&self) -> usize {
        self.rows.unwrap_or(1)
    }
}

/// The inputs of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Tensors with their names.
    Named(Vec<(String, Tensor)>),
    /// The tensor of a model with one input.
    Only(Tensor),
}

impl Inputs {
    /// Returns true if JSON can carry every number in them: no NaN, no infinity.
    #[must_use]
    pub fn are_finite(&self) -> bool {
        self.tensors().all(|tensor| tensor.data().is_finite())
    }

    /// Returns the memory of their elements, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tensors().map(|tensor| tensor.data().bytes()).sum()
    }

    /// Iterates over the tensors, in the order of the request.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let (named, only) = match self {
            Self::Named(named) => (named.as_slice(), None),
            Self::Only(only) => (Default::default(), Some(only)),
        };
        named.iter().map(|(_, tensor)| tensor).chain(only)
    }

    /// Returns these rows of each tensor; `None` if one does not have them.
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
    /// Positions of the outputs that are not split into rows.
    pub(super) constants: Constants,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// The cause.
    pub error: RuntimeError,
    /// The inputs of the run; `None` if the model was not run.
    pub inputs: Option<Box<Inputs>>,
}

impl Failed {
    /// Builds the failure of a run on these inputs.
    pub(super) fn on(error: RuntimeError, inputs: Inputs) -> Self {
        Self { error, inputs: Some(Box::new(inputs)) }
    }
}

impl From<RuntimeError> for Failed {
    fn from(error: RuntimeError) -> Self {
        Self { error, inputs: None }
    }
}

/// The outputs and the times of a run.
#[derive(Debug)]
pub struct RunResult {
    outputs: Outputs,
    /// The rows of this request in the batch; `None` if the whole batch is this request's.
    rows: Option<Range<usize>>,
    /// The inputs of this request.
    pub inputs: Inputs,
    /// The time from queueing to the run.
    pub queued: Duration,
    /// The time inside ONNX Runtime, including rows of other requests.
    pub duration: Duration,
    /// The number of rows in the batch.
    pub batch_rows: usize,
    /// The time when the run ended.
    pub ended: Instant,
    /// The runs to count for this request: 0 if another request of the batch counts the run.
    pub runs: u64,
}

impl RunResult {
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

    /// Returns the outputs of the batch.
    #[must_use]
    pub fn batch(&self) -> &[Value] {
        &self.outputs.values
    }

    /// Returns true if the output at this position is the same for all rows, so that each request gets it whole.
    #[must_use]
    pub fn is_constant(&self, output: usize) -> bool {
        self.outputs.constants.contains(output)
    }

    /// Returns the rows of this request in the batch; `None` if the whole batch is this request's.
    #[must_use]
    pub fn rows(&self) -> Option<Range<usize>> {
        self.rows.clone()
    }

    /// Takes the outputs of this request, in the order of the signature. `None` if the batch does not hold its rows, or
    /// if they were taken before.
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

pub(super) type ResultSender = oneshot::Sender<Result<RunResult, Failed>>;

/// A request in a queue.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) asked: RunRequest,
    pub(super) response: ResultSender,
    /// `None` if the run is too short to be cancelled.
    state: Option<Arc<Mutex<State>>>,
}

/// Progress of a request.
#[derive(Debug)]
enum State {
    Waits,
    Runs(Arc<Run>),
    IsGone,
}

/// A run that is cancelled when no caller waits for it any more.
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
    /// Creates the run of a batch and records it in its jobs, so that a caller that leaves can cancel it.
    ///
    /// # Errors
    ///
    /// When ONNX Runtime fails to create the options.
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
            tracing::warn!(error = error.message(), "failed to terminate a run");
        }
    }
}

impl Job {
    /// Creates a job whose run is too short to be cancelled.
    pub(super) fn short(asked: RunRequest, response: ResultSender) -> Self {
        Self { asked, response, state: None }
    }

    /// Creates a job, and the guard that its caller holds while it waits.
    pub(super) fn long(asked: RunRequest, response: ResultSender) -> (Self, Waiting) {
        let state = Arc::new(Mutex::new(State::Waits));
        let waiting = Waiting(Arc::clone(&state));
        (Self { state: Some(state), ..Self::short(asked, response) }, waiting)
    }

    /// Returns true if the request is abandoned: its caller has left or its deadline has passed.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        self.response.is_closed() || self.asked.deadline.is_some_and(|deadline| deadline <= now)
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

/// A guard for a waiting caller. Dropped before the result is there, it cancels the run unless another caller waits for
/// it.
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

/// Counts of the requests and rows that wait or run.
#[derive(Debug, Default)]
pub(super) struct QueueSlots {
    requests: AtomicUsize,
    rows: AtomicUsize,
}

impl QueueSlots {
    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

/// A place among the requests that wait or run, released when dropped.
#[derive(Debug)]
pub(super) struct QueueSlot<'s> {
    places: &'s QueueSlots,
    rows: usize,
}

impl<'s> QueueSlot<'s> {
    pub(super) fn take(shared: &'s Shared, capacity: usize, rows: usize) -> Option<Self> {
        let places = &shared.places;
        let next = |count: usize| (count < capacity).then_some(count + 1);
        places.requests.try_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        places.rows.fetch_add(rows, Ordering::Relaxed);
        Some(Self { places, rows })
    }

    /// Takes a place beyond the capacity.
    pub(super) fn add(shared: &'s Shared, rows: usize) -> Self {
        let places = &shared.places;
        places.requests.fetch_add(1, Ordering::Relaxed);
        places.rows.fetch_add(rows, Ordering::Relaxed);
        Self { places, rows }
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.places.requests.fetch_sub(1, Ordering::Relaxed);
        self.places.rows.fetch_sub(self.rows, Ordering::Relaxed);
    }
}
