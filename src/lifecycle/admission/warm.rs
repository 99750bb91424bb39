//! A process that has loaded ONNX Runtime but no model. Each candidate is tried in a copy of it.
//!
//! Starting a program and loading the library is most of the proof of a small model. With a warm process, consecutive
//! candidates share that cost. The copy is sandboxed, limited and supervised exactly as a child started for one
//! candidate.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{child, job::Job};
use crate::{
    runtime::Runtime,
    system::{
        sandbox,
        supervise::{self, Outcome},
    },
};

/// Extra time for a reply, beyond the candidate's own limit.
const GRACE: Duration = Duration::from_secs(5);

/// The first line that the process reads.
#[derive(Serialize, Deserialize)]
struct Start {
    /// The process that sends the orders.
    parent: u32,
    /// ONNX Runtime's shared library.
    library: PathBuf,
}

/// A candidate to try.
#[derive(Serialize, Deserialize)]
struct Order<J> {
    job: J,
    milliseconds: u64,
}

thread_local! {
    /// The warm process of this thread, which ends with it. `None` until the thread has tried its first candidate.
    static WARM: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// The state of a thread's warm process.
enum State {
    /// One candidate was tried; a process is not worth keeping until there is a second.
    TriedOne,
    /// The process tries one candidate after another.
    Running(Warm),
    /// This system does not allow it: each candidate has a child of its own.
    Failed,
}

/// The warm process, as seen from the server.
struct Warm {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Tries a candidate in a copy of this thread's process. `None` if there is no process yet, or if it failed in a way
/// that says nothing about the candidate.
pub(super) fn try_job(command: impl FnOnce() -> Command, job: &Job, timeout: Duration) -> Option<Outcome> {
    WARM.with_borrow_mut(|state| {
        let mut warm = match state.take() {
            None => {
                *state = Some(State::TriedOne);
                return None;
            }
            Some(State::TriedOne) => Warm::start(command(), job),
            Some(State::Running(warm)) => Ok(warm),
            Some(State::Failed) => {
                *state = Some(State::Failed);
                return None;
            }
        };
        let tried = warm.as_mut().map_err(|error| io::Error::other(error.to_string()));
        match tried.and_then(|warm| warm.try_job(job, timeout)) {
            Ok(outcome) => {
                *state = warm.ok().map(State::Running);
                Some(outcome)
            }
            Err(error) => {
                tracing::debug!(%error, "candidates are tried in processes that are started for them");
                *state = Some(State::Failed);
                None
            }
        }
    })
}

/// Ends the process of this thread, which outlives the candidates it was for.
pub(super) fn end() {
    WARM.take();
}

impl Warm {
    fn start(mut command: Command, job: &Job) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let mut warm = Self { child, orders, answers: BufReader::new(answers) };
        warm.send(&Start { parent: job.parent, library: job.library.clone() })?;
        Ok(warm)
    }

    fn send(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.orders.write_all(&line)
    }

    fn try_job(&mut self, job: &Job, timeout: Duration) -> io::Result<Outcome> {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.send(&Order { job, milliseconds })?;
        supervise::wait_for_bytes(self.answers.get_ref(), timeout + GRACE)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        // Its copies end with it. A failure means that it is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries each candidate that a line of the input names in a copy of this process, and writes a line for each.
///
/// # Errors
///
/// If a line cannot be parsed or written, or ONNX Runtime cannot be loaded.
pub fn run_each(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut lines = input.lines();
    let Some(first) = lines.next() else { return Ok(()) };
    let Start { parent, library } = serde_json::from_str(&first?)?;
    sandbox::depend_on(parent)?;
    Runtime::load_from(&library).map_err(io::Error::other)?;
    for line in lines {
        let Order { job, milliseconds } = serde_json::from_str::<Order<Job>>(&line?)?;
        let job = Job { parent: std::process::id(), ..job };
        let try_it = || child::carry_out(&job, io::stdout().lock());
        let outcome = supervise::run_copy(try_it, Duration::from_millis(milliseconds))?;
        let mut line = serde_json::to_vec(&outcome)?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}
