//! Writing for people: results to standard output, what went wrong to standard error.

use std::io::{self, Write};

/// Writes text to standard output. A reader that has gone away (`| head`) is no failure.
pub(super) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes each line to standard error, marked as an error.
pub(super) fn errors(lines: &str) {
    mark("error", lines);
}

/// Writes each line to standard error, marked as a warning.
pub(super) fn warnings(lines: &str) {
    mark("warning", lines);
}

/// Writes a line to standard error that says what is going on.
pub(super) fn progress(line: &str) {
    // Nothing can be told to someone who does not listen.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn mark(mark: &str, lines: &str) {
    let mut stderr = io::stderr().lock();
    for line in lines.lines() {
        let _ = writeln!(stderr, "{mark}: {line}");
    }
}
