//! Output for people: results to standard output, errors to standard error.

use std::io::{self, Write};

/// Writes text to standard output. A closed pipe (`| head`) is not a failure.
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

/// Writes a line about progress to standard error.
pub(super) fn progress(line: &str) {
    // If standard error is closed, there is no one to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn mark(mark: &str, lines: &str) {
    let mut stderr = io::stderr().lock();
    for line in lines.lines() {
        // An excerpt of a file belongs to the line above.
        let _ = if line.starts_with(' ') {
            writeln!(stderr, "{line}")
        } else {
            writeln!(stderr, "{mark}: {line}")
        };
    }
}
