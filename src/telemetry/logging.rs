//! Logs, to standard error: standard output belongs to the commands.

mod access;
mod directives;
mod form;
mod level;
mod line_queue;
mod output;
mod spans;
mod timestamp;

use std::{
    cell::OnceCell,
    io::{self, Write},
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{LogFormat, LogSettings, SettingsProblem};
pub use access::AccessLine;
use form::Form;
pub use level::AccessLevel;
use line_queue::{LineBuffer, LineQueue};

/// Longest wait for the last lines to be written: their reader may have stalled.
const END_TIME: Duration = Duration::from_secs(1);

/// The lines of this process, once its log was started.
static LINES: OnceLock<ProcessLines> = OnceLock::new();

thread_local! {
    /// The access lines of this thread.
    static OWN_LINES: OnceCell<Arc<LineBuffer>> = const { OnceCell::new() };
}

#[derive(Debug)]
struct ProcessLines {
    queue: Arc<LineQueue>,
    form: Form,
}

/// The log of this process. Writes the remaining lines when it is dropped.
#[must_use]
pub struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    writing: Option<Writing>,
}

/// The thread that writes lines.
struct Writing {
    queue: Arc<LineQueue>,
    /// Disconnected when the thread ends.
    ended: mpsc::Receiver<()>,
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

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(Writing { queue, ended }) = &self.writing {
            queue.end();
            // Nothing is sent: this waits for the end of the thread.
            let _ = ended.recv_timeout(END_TIME);
        }
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
/// bounds are dropped and counted.
///
/// # Errors
///
/// If the system cannot start the thread.
pub fn start(filter: EnvFilter, format: LogFormat) -> io::Result<Log> {
    let (filter, level) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let queue = Arc::<LineQueue>::default();
    let of_layer = Arc::clone(&queue);
    let layer = fmt::layer().with_writer(move || OtherLines(Arc::clone(&of_layer)));
    let form = match format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if shows_colours() => Form::Coloured,
        LogFormat::Text => Form::Text,
    };
    let started = match form {
        Form::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        Form::Text | Form::Coloured => registry.with(layer.with_ansi(form == Form::Coloured)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
        return Ok(Log { level, writing: None });
    }
    let writing = Some(Writing::start(Arc::clone(&queue))?);
    LINES.get_or_init(|| ProcessLines { queue, form });
    Ok(Log { level, writing })
}

impl Writing {
    fn start(queue: Arc<LineQueue>) -> io::Result<Self> {
        let (ending, ended) = mpsc::channel();
        let of_thread = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            of_thread.write_lines(io::stderr());
            drop(ending);
        })?;
        Ok(Self { queue, ended })
    }
}

/// Logs a line of the access log. The caller has checked that its level [is enabled](AccessLevel::is_enabled).
pub fn log_access(level: AccessLevel, line: &AccessLine<'_>) {
    let Some(ProcessLines { queue, form }) = LINES.get() else { return };
    let log = |own: &OnceCell<Arc<LineBuffer>>| {
        let own = own.get_or_init(|| queue.add_buffer());
        queue.log_access(own, |lines| line.write(*form, level, SystemTime::now(), lines));
    };
    // Fails only in a thread that has dropped its variables: no request is handled there.
    let _ = OWN_LINES.try_with(log);
}

/// Returns how many lines of the log were dropped or could not be written.
pub(super) fn dropped_lines() -> u64 {
    LINES.get().map_or(0, |lines| lines.queue.dropped())
}

/// Returns true if standard error is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
fn shows_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// The writer of the lines that `tracing` formats, each of which comes as a whole.
struct OtherLines(Arc<LineQueue>);

impl Write for OtherLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let own = OWN_LINES.try_with(|own| own.get().map(Arc::clone)).ok().flatten();
        self.0.log_other(own.as_deref(), line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
