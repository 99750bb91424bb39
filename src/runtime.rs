//! Running of models: the only module that uses ONNX Runtime.
//!
//! The shared library is found and loaded once for the process ([`Runtime`]). A model is a [`Scheduler`] over
//! instances, each of which runs one batch at a time. Those of a large model share a session, and with it the weights.

mod catch_panic;
mod convert;
mod error;
#[cfg(debug_assertions)]
mod failpoint;
mod instance;
mod library;
mod refused;
mod scheduler;
mod session_options;
mod shared_session;
mod signature;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ort::{environment::Environment as OrtEnvironment, logging::LogLevel};

pub use error::RuntimeError;
pub use instance::Instance;
pub use library::LibraryNotFound;
pub use ort::session::RunOptions;
pub use scheduler::{Failed, Inputs, Options, RunRequest, RunResult, Running, Scheduler, set_worker};
pub use session_options::SessionOptions;

use crate::config::{Environment, RuntimeSettings};

/// ONNX Runtime, loaded and initialized. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    environment: &'static OrtEnvironment,
}

/// Stack of every thread that loads or runs models. The process of a proof has half of it
/// ([`sandbox`](crate::system::sandbox)), so any model that passes there fits here.
pub const STACK_BYTES: usize = 16 << 20;

/// The environment: ONNX Runtime allows one for each process.
static LOADED: OnceLock<Result<(OrtEnvironment, PathBuf), RuntimeError>> = OnceLock::new();

impl Runtime {
    /// Finds and loads the shared library. Later calls return the result of the first.
    ///
    /// Telemetry must already be off in the process environment
    /// ([`TELEMETRY_OPT_OUT`](crate::config::environment::TELEMETRY_OPT_OUT)), because it starts with ONNX Runtime's
    /// environment.
    ///
    /// # Errors
    ///
    /// When there is no library, it cannot be loaded, or it is too old.
    pub fn load(settings: &RuntimeSettings, environment: &Environment) -> Result<Self, RuntimeError> {
        Self::load_once(|| Ok(library::find(settings, environment)?))
    }

    /// Loads the shared library at this path. Later calls return the result of the first.
    ///
    /// # Errors
    ///
    /// As [`Runtime::load`].
    pub fn load_from(library: &Path) -> Result<Self, RuntimeError> {
        Self::load_once(|| Ok(library.to_path_buf()))
    }

    fn load_once(find: impl FnOnce() -> Result<PathBuf, RuntimeError>) -> Result<Self, RuntimeError> {
        let loaded = LOADED.get_or_init(|| {
            let path = find()?;
            let builder = ort::init_from(&path).map_err(|error| RuntimeError::Library(error.to_string()))?;
            let environment = builder
                .with_name("onnx-gateway")
                .with_telemetry(false)
                .with_logger(std::sync::Arc::new(forward_log))
                .build()
                .map_err(|error| RuntimeError::Library(error.message().to_owned()))?;
            environment.set_log_level(LogLevel::Warning);
            Ok((environment, path))
        });
        match loaded {
            Ok((environment, path)) => {
                tracing::debug!(library = %path.display(), "loaded ONNX Runtime");
                Ok(Self { environment })
            }
            Err(error) => Err(error.clone()),
        }
    }

    /// Returns the path of the shared library that was loaded.
    #[must_use]
    pub fn library(self) -> &'static Path {
        LOADED.get().and_then(|loaded| loaded.as_ref().ok()).map_or(Path::new(""), |(_, path)| path)
    }

    /// Returns the shared library's description of itself; `None` before it is loaded.
    #[must_use]
    pub fn library_version() -> Option<String> {
        LOADED.get()?.as_ref().ok().map(|_| ort::info().to_owned())
    }

    /// Returns the number of CPUs this process may use, by the cgroup's quota and the affinity mask.
    #[must_use]
    pub fn cpus() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Writes a message of ONNX Runtime to the log, one level down: its warnings are about graphs, not this service.
fn forward_log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => {
            tracing::warn!(target: "onnxruntime", category, location, "{message}");
        }
        _ => tracing::debug!(target: "onnxruntime", category, location, "{message}"),
    }
}
