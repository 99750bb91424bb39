//! Logs, to standard error: standard output belongs to the commands.

mod directives;

use std::{
    io::{self, BufWriter, Write},
    thread,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{LogFormat, LogSettings, SettingsProblem};

/// Largest single write.
const WRITE_BYTES: usize = 64 * 1024;

/// Most lines in the buffer: many times what the fastest gateway produces between two writes. The buffer is allocated
/// at the start.
const MOST_LINES: usize = 16 * 1024;

/// Time for which lines are collected after a write.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// The log of this process. Writes the remaining lines when it is dropped.
#[must_use]
pub struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    _writer: WorkerGuard,
}

impl Log {
    /// Applies the level in these settings. The format stays that of the start.
    ///
    /// # Errors
    ///
    /// If the level is not valid.
    pub fn set_level(&self, settings: &LogSettings) -> Result<(), SettingsProblem> {
        if let Err(error) = self.level.reload(filter(settings)?) {
            tracing::debug!(%error, "another log was started before this one");
        }
        Ok(())
    }
}

/// Returns the filter for these settings.
///
/// # Errors
///
/// If the level is not valid.
pub fn filter(settings: &LogSettings) -> Result<EnvFilter, SettingsProblem> {
    let filter = EnvFilter::try_new(&settings.level).ok();
    filter.filter(|_| directives::are_meant(&settings.level)).ok_or_else(|| {
        let expected =
            "expected error, warn, info, debug or trace, or directives such as info,onnx_gateway=debug";
        SettingsProblem::at("log.level", expected)
    })
}

/// Starts logging for the process; a second call changes nothing.
///
/// Lines are written by a separate thread: a stalled reader or a full disk must not block requests. Lines beyond the
/// buffer are dropped.
///
/// # Errors
///
/// If the level is not valid.
pub fn start(settings: &LogSettings) -> Result<Log, SettingsProblem> {
    let (filter, level) = reload::Layer::new(filter(settings)?);
    let registry = tracing_subscriber::registry().with(filter);
    let stderr = Gathering(BufWriter::with_capacity(WRITE_BYTES, io::stderr()));
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MOST_LINES).finish(stderr);
    let layer = fmt::layer().with_writer(writer);
    let started = match settings.format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer.with_ansi(shows_colours())).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(Log { level, _writer: guard })
}

/// Returns true if standard error is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
fn shows_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// A writer that collects the lines of a moment: waking the writing thread for each of many lines would cost requests
/// more than the lines themselves.
struct Gathering<W>(W);

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Flushes and waits for more lines. The writing thread calls it when no line is left.
    #[expect(clippy::disallowed_methods, reason = "it waits for nothing: lines gather meanwhile")]
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        // Meanwhile a log call does not wake the sleeping thread, nor wait for it.
        thread::sleep(GATHER_TIME);
        flushed
    }
}
