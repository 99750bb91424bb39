//! Running a child process that may do anything: hang, crash, write without end, leave children of its own.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use super::memory::status_bytes;

/// Its report may be this long.
const MAX_REPORT_BYTES: usize = 8 << 20;

/// So much of what it complains of is kept.
const KEPT_STDERR_BYTES: usize = 8 << 10;

/// After its report, this long to end by itself.
const GRACE: Duration = Duration::from_millis(250);

/// How often its memory is looked at, should it die without a report.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal, which did not come from here.
    Signalled(i32),
    /// It took too long and was killed.
    TimedOut,
    /// It wrote too much and was killed.
    TooMuchOutput,
}

/// What is known of a child that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first line that it wrote, if it wrote a whole one.
    pub report: Option<String>,
    /// How it ended.
    pub end: End,
    /// The last that it complained of.
    pub complaint: String,
    /// The greatest resident size that was seen, in bytes.
    pub peak_bytes: u64,
    /// How long it lived.
    pub duration: Duration,
}

/// Runs `command` on `input` until its first line, its end or the deadline. It leads a process group of its own, all of
/// which is gone on return.
///
/// The child is told to die with the thread that started it, so it is waited for on that thread: this one.
///
/// # Errors
///
/// When it cannot be started or watched.
pub fn run(mut command: Command, input: &[u8], timeout: Duration) -> io::Result<Outcome> {
    let start = Instant::now();
    // Not a pipe, which somebody would have to fill, nor a file, for which there may be no place.
    let mut stdin = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    stdin.write_all(input)?;
    stdin.rewind()?;
    let mut child = command
        .process_group(0)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let watched = watch(&mut child, start, timeout).and_then(|watched| {
        let patience = if watched.report.is_some() { GRACE } else { timeout.saturating_sub(start.elapsed()) };
        let status = if watched.stopped.is_none() { wait_for(&mut child, patience)? } else { None };
        Ok((watched, status))
    });
    kill_group(&child);
    child.wait()?;
    let (Watched { report, complaint, peak_bytes, stopped, .. }, status) = watched?;
    let end = match (stopped, status) {
        (Some(end), _) => end,
        (None, Some(status)) => end_of(status),
        // It had reported and only did not end: its report is what counts.
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

#[derive(Default)]
struct Watched {
    output: Vec<u8>,
    report: Option<String>,
    complaint: Vec<u8>,
    peak_bytes: u64,
    stopped: Option<End>,
}

/// Reads what the child writes until there is a line, it is at its end, or it must be stopped.
fn watch(child: &mut Child, start: Instant, timeout: Duration) -> io::Result<Watched> {
    let mut watched = Watched::default();
    let mut stdout = child.stdout.take().map(OwnedFd::from).map(File::from);
    let mut stderr = child.stderr.take().map(OwnedFd::from).map(File::from);
    let status_file = format!("/proc/{}/status", child.id());
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
        // Its last words may still be on the way; who closed its output but lives on has no more time for them.
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

/// Which of the two can be read now, or is at its end.
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

/// Its status, if it ends within `patience`.
fn wait_for(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    let Some(pid) = pid_of(child) else { return Ok(None) };
    let ended = File::from(pidfd_open(pid, PidfdFlags::empty())?);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if left.is_zero() => return Ok(None),
            None => wait_readable(&ended, None, left)?,
        };
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Kills the child and whatever it started. That nothing is left to kill is no failure.
fn kill_group(child: &Child) {
    if let Some(pid) = pid_of(child) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn end_of(status: ExitStatus) -> End {
    status.code().map_or_else(|| End::Signalled(status.signal().unwrap_or(0)), End::Exited)
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
