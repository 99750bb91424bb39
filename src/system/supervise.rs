//! Supervision of a child process that may hang, crash, write without end, or leave children of its own.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, setpgid, waitpid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};
use serde::{Deserialize, Serialize};

use super::{fork::fork, memory::status_bytes};

/// Longest report of a child.
const MAX_REPORT_BYTES: usize = 8 << 20;

/// Bytes of standard error that are kept.
const KEPT_STDERR_BYTES: usize = 8 << 10;

/// Interval at which the child's memory is sampled, in case it dies without a report.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// The end of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Exited by itself, with this status.
    Exited(i32),
    /// Killed by this signal, which another process sent.
    Signalled(i32),
    /// Killed because it took too long.
    TimedOut,
    /// Killed because it wrote too much.
    TooMuchOutput,
}

/// The outcome of a child that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The first line of standard output; `None` if there was no complete line.
    pub report: Option<String>,
    /// The end of the child.
    pub end: End,
    /// The last part of standard error.
    pub complaint: String,
    /// The largest resident size that was observed, in bytes.
    pub peak_bytes: u64,
    /// The child's lifetime.
    pub duration: Duration,
}

/// Runs `command` on `input` until its first line of output, its end or the timeout. The child leads its own process
/// group, all of which is killed before this returns.
///
/// The child dies with the thread that started it, so this thread waits for it.
///
/// # Errors
///
/// If the child cannot be started or watched.
pub fn run(mut command: Command, input: &[u8], timeout: Duration) -> io::Result<Outcome> {
    let start = Instant::now();
    // Not a pipe, which a thread would have to fill.
    let mut stdin = nameless_file()?;
    stdin.write_all(input)?;
    stdin.rewind()?;
    let mut child = command
        .process_group(0)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let output =
        |pipe: Option<OwnedFd>| pipe.map(File::from).ok_or_else(|| io::Error::other("there is no pipe"));
    let stdout = output(child.stdout.take().map(OwnedFd::from))?;
    let stderr = output(child.stderr.take().map(OwnedFd::from))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    supervise(pid.ok_or_else(|| io::Error::other("there is no process"))?, stdout, stderr, start, timeout)
}

/// Runs `job` in a copy of this process, supervised like [`run`], without input. This process must have a single
/// thread.
///
/// # Errors
///
/// If the copy cannot be started or watched.
pub fn run_copy(job: impl FnOnce() -> io::Result<()>, timeout: Duration) -> io::Result<Outcome> {
    let start = Instant::now();
    let (stdout, stdout_end) = io::pipe()?;
    let (stderr, stderr_end) = io::pipe()?;
    let stdin = File::open("/dev/null")?;
    let Some(pid) = fork()? else {
        drop((stdout, stderr));
        let run = || {
            setpgid(None, None)?;
            // Replaces the streams that this process communicates with.
            dup2_stdin(&stdin)?;
            dup2_stdout(&stdout_end)?;
            dup2_stderr(&stderr_end)?;
            drop((stdin, stdout_end, stderr_end));
            job()
        };
        let code = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                let _ = writeln!(io::stderr(), "{error}");
                1
            }
            Err(_) => 101,
        };
        std::process::exit(code);
    };
    drop((stdin, stdout_end, stderr_end));
    // The child does this as well: whichever comes first.
    let _ = setpgid(Some(pid), Some(pid));
    supervise(pid, File::from(OwnedFd::from(stdout)), File::from(OwnedFd::from(stderr)), start, timeout)
}

fn supervise(pid: Pid, stdout: File, stderr: File, start: Instant, timeout: Duration) -> io::Result<Outcome> {
    let watched = watch(pid, stdout, stderr, start, timeout).and_then(|watched| {
        // The report decides: the child's exit is not waited for, which takes long with ONNX Runtime loaded.
        let is_over = watched.report.is_some() || watched.stopped.is_some();
        let status = if is_over { None } else { wait_for(pid, timeout.saturating_sub(start.elapsed()))? };
        Ok((watched, status))
    });
    // Also kills the child's children. Fails if none is left, which is fine.
    let _ = kill_process_group(pid, Signal::KILL);
    if !matches!(watched, Ok((_, Some(_)))) {
        let _ = kill_process(pid, Signal::KILL);
        waitpid(Some(pid), WaitOptions::empty())?;
    }
    let (Watched { report, complaint, peak_bytes, stopped, .. }, status) = watched?;
    let end = match (stopped, status) {
        (Some(end), _) => end,
        (None, Some(status)) => end_of(status),
        (None, None) if report.is_some() => End::Exited(0),
        (None, None) => End::TimedOut,
    };
    Ok(Outcome {
        report,
        end,
        complaint: String::from_utf8_lossy(&complaint).trim().to_owned(),
        peak_bytes,
        duration: start.elapsed(),
    })
}

/// Waits until there is something to read.
///
/// # Errors
///
/// If there is nothing within the timeout.
pub fn wait_for_bytes(source: impl AsFd, timeout: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    let mut watched = [PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)];
    match poll(&mut watched, Some(&timeout))? {
        0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Watched {
    output: Vec<u8>,
    report: Option<String>,
    complaint: Vec<u8>,
    peak_bytes: u64,
    stopped: Option<End>,
}

/// Reads the output of the child until its first line, its end, or a limit.
fn watch(pid: Pid, stdout: File, stderr: File, start: Instant, timeout: Duration) -> io::Result<Watched> {
    let mut watched = Watched::default();
    let (mut stdout, mut stderr) = (Some(stdout), Some(stderr));
    let status_file = format!("/proc/{pid}/status");
    let mut block = vec![0; 64 << 10];
    while let Some(out) = &mut stdout {
        let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
            watched.stopped = Some(End::TimedOut);
            break;
        };
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        watched.peak_bytes = watched.peak_bytes.max(status_bytes(&status, "VmHWM:").unwrap_or(0));

        let (out_ready, err_ready) = wait_readable(out, stderr.as_ref(), left.min(SAMPLE_INTERVAL))?;
        if let Some(err) = stderr.as_mut().filter(|_| err_ready) {
            let read = err.read(&mut block)?;
            watched.complaint.extend_from_slice(&block[..read]);
            let surplus = watched.complaint.len().saturating_sub(KEPT_STDERR_BYTES);
            watched.complaint.drain(..surplus);
            if read == 0 {
                stderr = None;
            }
        }
        if out_ready {
            let read = out.read(&mut block)?;
            watched.output.extend_from_slice(&block[..read]);
            if let Some(end) = watched.output.iter().position(|byte| *byte == b'\n') {
                watched.report = Some(String::from_utf8_lossy(&watched.output[..end]).into_owned());
                break;
            }
            if watched.output.len() > MAX_REPORT_BYTES {
                watched.stopped = Some(End::TooMuchOutput);
                break;
            }
            if read == 0 {
                stdout = None;
            }
        }
    }
    if let (None, Some(mut err)) = (&watched.report, stderr) {
        // The last messages may still arrive; a child that closed its output but lives on gets no more time for them.
        while wait_readable(&err, None, SAMPLE_INTERVAL)?.0 {
            let read = err.read(&mut block)?;
            if read == 0 || watched.complaint.len() > KEPT_STDERR_BYTES {
                break;
            }
            watched.complaint.extend_from_slice(&block[..read]);
        }
    }
    Ok(watched)
}

/// Returns true for each of the two files that can be read now or is at its end.
fn wait_readable(first: &File, second: Option<&File>, timeout: Duration) -> io::Result<(bool, bool)> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    let mut watched = vec![PollFd::from_borrowed_fd(first.as_fd(), PollFlags::IN)];
    watched.extend(second.map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)));
    match poll(&mut watched, Some(&timeout)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok((false, false)),
        Err(error) => return Err(error.into()),
    }
    let ready = |index: usize| watched.get(index).is_some_and(|file| !file.revents().is_empty());
    Ok((ready(0), ready(1)))
}

/// Creates a file in memory, for which a disk needs no space.
#[cfg(target_os = "linux")]
fn nameless_file() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?))
}

/// Creates a temporary file, as this system has none in memory.
#[cfg(not(target_os = "linux"))]
fn nameless_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// Returns the child's status; `None` if it does not end within `patience`.
fn wait_for(pid: Pid, patience: Duration) -> io::Result<Option<WaitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match waitpid(Some(pid), WaitOptions::NOHANG)? {
            Some((_, status)) => return Ok(Some(status)),
            None if left.is_zero() => return Ok(None),
            None => await_end(pid, left)?,
        }
    }
}

/// Waits until a child that was not waited for has ended, for at most `left`.
#[cfg(target_os = "linux")]
fn await_end(pid: Pid, left: Duration) -> io::Result<()> {
    let ended = File::from(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?);
    wait_readable(&ended, None, left).map(|_| ())
}

/// Waits for a moment, as this system has no file that tells of a child's end.
#[cfg(not(target_os = "linux"))]
fn await_end(_pid: Pid, left: Duration) -> io::Result<()> {
    let moment = Timespec::try_from(left.min(SAMPLE_INTERVAL)).map_err(io::Error::other)?;
    match poll(&mut [], Some(&moment)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn end_of(status: WaitStatus) -> End {
    status.exit_status().map_or_else(|| End::Signalled(status.terminating_signal().unwrap_or(0)), End::Exited)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn shell(script: &str, timeout: Duration) -> Outcome {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, b"input", timeout).unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_first_line_is_the_report() {
        let outcome = shell("cat; echo", LONG);
        assert_eq!((outcome.report.as_deref(), outcome.end), (Some("input"), End::Exited(0)));
    }

    #[test]
    fn says_how_a_child_ended_that_reported_nothing() {
        assert_eq!(shell("exit 3", LONG).end, End::Exited(3));
        assert_eq!(shell("kill -SEGV $$", LONG).end, End::Signalled(11));
        assert_eq!(shell("kill -KILL $$", LONG).end, End::Signalled(9));
        let outcome = shell("echo no such thing >&2; exit 1", LONG);
        assert_eq!((outcome.report, outcome.complaint.as_str()), (None, "no such thing"));
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let short = Duration::from_millis(200);
        assert_eq!(shell("sleep 1000", short).end, End::TimedOut);
        assert_eq!(shell("exec >&-; sleep 1000", short).end, End::TimedOut);
        assert_eq!(shell("sleep 1000 & exit 0", short).end, End::TimedOut);
        assert_eq!(shell("yes | tr -d '\\n'", LONG).end, End::TooMuchOutput);
    }

    #[test]
    fn a_child_of_the_child_does_not_outlive_it() {
        let outcome = shell("sleep 1000 & echo $!", LONG);
        let pid = outcome.report.unwrap();
        let gone = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        let deadline = Instant::now() + LONG;
        while !gone() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(gone());
    }
}
