//! Output for people: results to standard output, errors and progress to standard error.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};

/// The style of an error's mark.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The style of a warning's mark.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Time between two updates of a line about progress.
const TICK: Duration = Duration::from_secs(1);

/// Writes text to standard output. A closed pipe (`| head`) is not a failure.
pub(super) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Quotes a text for a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes each line to standard error, marked as an error.
pub(super) fn errors(lines: &str) {
    mark("error", ERROR, lines);
}

/// Writes each line to standard error, marked as a warning.
pub(super) fn warnings(lines: &str) {
    mark("warning", WARNING, lines);
}

/// Writes a line about progress to standard error.
pub(super) fn progress(line: &str) {
    // If standard error is closed, there is no one to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes marked lines, with colours if standard error is a terminal and `NO_COLOR` is not set.
fn mark(mark: &str, style: Style, lines: &str) {
    let mut stderr = anstream::stderr().lock();
    for line in lines.lines() {
        // An excerpt of a file belongs to the line above.
        let _ = if line.starts_with(' ') {
            writeln!(stderr, "{line}")
        } else {
            writeln!(stderr, "{style}{mark}:{style:#} {line}")
        };
    }
}

/// Work in progress. On a terminal, a line counts its seconds from the first one on, and goes when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Writes a line about work that begins.
    pub(super) fn start(line: &str) -> Self {
        progress(line);
        Self::count()
    }

    /// Writes a line about work that begins, if a person at a terminal reads it.
    pub(super) fn on_terminal(line: &str) -> Self {
        if io::stderr().is_terminal() {
            progress(line);
        }
        Self::count()
    }

    /// Counts the seconds from the first one on, on a terminal.
    fn count() -> Self {
        if !io::stderr().is_terminal() {
            return Self { ticker: None };
        }
        let (end, ended) = mpsc::channel::<()>();
        let ticker = thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let start = Instant::now();
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let mut stderr = io::stderr().lock();
                let _ = write!(stderr, "\r  {} s", start.elapsed().as_secs());
                let _ = stderr.flush();
            }
            if start.elapsed() >= TICK {
                // Spaces, not a control sequence: every terminal knows them.
                let _ = write!(io::stderr().lock(), "\r          \r");
            }
        });
        // Without a thread there is no count, and the work goes on.
        Self { ticker: ticker.ok().map(|ticker| (end, ticker)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, ticker)) = self.ticker.take() {
            drop(end);
            let _ = ticker.join();
        }
    }
}
