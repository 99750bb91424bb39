//! Logs, to standard error: standard output belongs to the commands.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, LogSettings, Problem};

/// Starts logging for the process; a second call changes nothing.
///
/// # Errors
///
/// When the level is none.
pub fn start(settings: &LogSettings) -> Result<(), Problem> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| {
        Problem::at(
            "log.level",
            format!("expected error, warn, info, debug or trace, or directives: {error}"),
        )
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
        }
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(io::stderr)).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
