//! Logs, to standard error: standard output belongs to the commands.

mod directives;

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    thread,
    time::Duration,
};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{LogFormat, LogSettings, Problem};

/// What is written at once, at most.
const WRITE_BYTES: usize = 64 * 1024;

/// So many lines wait to be written at most: many times what the fastest gateway gathers. Their places are taken from the
/// start on.
const MOST_LINES: usize = 16 * 1024;

/// How long lines are gathered for after some were written.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// The log of this process. Writes what is still to be written when it is dropped.
#[must_use]
pub struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    _writer: WorkerGuard,
}

impl Log {
    /// Logs what these settings want from now on. Their format is not looked at: it is that of the start.
    ///
    /// # Errors
    ///
    /// When the level is none.
    pub fn set_level(&self, settings: &LogSettings) -> Result<(), Problem> {
        if let Err(error) = self.level.reload(filter(settings)?) {
            tracing::debug!(%error, "another log was started before this one");
        }
        Ok(())
    }
}

/// The filter that the settings want.
///
/// # Errors
///
/// When the level is none.
pub fn filter(settings: &LogSettings) -> Result<EnvFilter, Problem> {
    let filter = EnvFilter::try_new(&settings.level).ok();
    filter.filter(|_| directives::are_meant(&settings.level)).ok_or_else(|| {
        let expected =
            "expected error, warn, info, debug or trace, or directives such as info,onnx_gateway=debug";
        Problem::at("log.level", expected)
    })
}

/// Starts logging for the process; a second call changes nothing.
///
/// A thread of its own writes: a reader of the log that stalls, or a full disk, must not stop requests. What it cannot
/// take is left out.
///
/// # Errors
///
/// When the level is none.
pub fn start(settings: &LogSettings) -> Result<Log, Problem> {
    let (filter, level) = reload::Layer::new(filter(settings)?);
    let registry = tracing_subscriber::registry().with(filter);
    let stderr = Gathering(BufWriter::with_capacity(WRITE_BYTES, io::stderr()));
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MOST_LINES).finish(stderr);
    let layer = fmt::layer().with_writer(writer);
    let started = match settings.format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer.with_ansi(io::stderr().is_terminal())).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(Log { level, _writer: guard })
}

/// Writes a line at once, and those of the next moment together: to wake the thread that writes for each of many lines
/// would cost the requests more than the lines do.
struct Gathering<W>(W);

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// What the writing thread does when no line is left.
    #[expect(clippy::disallowed_methods, reason = "it waits for nothing: lines gather meanwhile")]
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        // Whoever logs does not wait for a thread that sleeps, and does not wake it.
        thread::sleep(GATHER_TIME);
        flushed
    }
}
