//! Running models: the only module that knows ONNX Runtime.
//!
//! The shared library is found and loaded once for the process ([`Runtime`]); a model is a [`Scheduler`] over
//! independent sessions, because a session runs one batch at a time.

mod contain;
mod convert;
mod declare;
mod error;
#[cfg(debug_assertions)]
mod failpoint;
mod instance;
mod library;
mod refused;
mod scheduler;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ort::{environment::Environment as OrtEnvironment, logging::LogLevel};

pub use error::RuntimeError;
pub use instance::Instance;
pub use library::LibraryNotFound;
pub use ort::session::RunOptions;
pub use scheduler::{Asked, Failed, Inputs, Options, Ran, Running, Scheduler, set_worker};

use crate::config::{Environment, RuntimeSettings};

/// ONNX Runtime, loaded and initialized. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    environment: &'static OrtEnvironment,
}

/// The stack of every thread that loads or runs models. The process of a proof has half of it
/// ([`sandbox`](crate::system::sandbox)), so that what passes there fits here, whatever model it is.
pub const STACK_BYTES: usize = 16 << 20;

/// One environment a process is all that ONNX Runtime allows.
static LOADED: OnceLock<Result<(OrtEnvironment, PathBuf), RuntimeError>> = OnceLock::new();

impl Runtime {
    /// Finds and loads the shared library; every later call answers as the first.
    ///
    /// Telemetry must be off in the process environment by now
    /// ([`TELEMETRY_OPT_OUT`](crate::config::environment::TELEMETRY_OPT_OUT)): it starts with the environment.
    ///
    /// # Errors
    ///
    /// When there is no library, or it cannot be loaded, or is too old.
    pub fn load(settings: &RuntimeSettings, environment: &Environment) -> Result<Self, RuntimeError> {
        Self::load_once(|| Ok(library::find(settings, environment)?))
    }

    /// The same with the shared library at this path.
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
                tracing::debug!(library = %path.display(), "ONNX Runtime is loaded");
                Ok(Self { environment })
            }
            Err(error) => Err(error.clone()),
        }
    }

    /// The shared library that was loaded.
    #[must_use]
    pub fn library(self) -> &'static Path {
        LOADED.get().and_then(|loaded| loaded.as_ref().ok()).map_or(Path::new(""), |(_, path)| path)
    }

    /// What the shared library says of itself; nothing before it is loaded.
    #[must_use]
    pub fn library_version() -> Option<String> {
        LOADED.get()?.as_ref().ok().map(|_| ort::info().to_owned())
    }

    /// How many CPUs this process may use: by the cgroup's quota and the affinity mask, not the host's count.
    #[must_use]
    pub fn cpus() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// What ONNX Runtime says goes to the log, one level down: its warnings are about graphs, not about this service.
fn forward_log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => {
            tracing::warn!(target: "onnxruntime", category, location, "{message}");
        }
        _ => tracing::debug!(target: "onnxruntime", category, location, "{message}"),
    }
}
