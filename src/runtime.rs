//! Running models: the only module that knows ONNX Runtime.
//!
//! The shared library is found and loaded once for the process ([`Runtime`]); a model is an [`InstancePool`] of
//! independent sessions, because a session runs one request at a time.

mod convert;
mod declare;
mod error;
mod instance;
mod library;
mod pool;

use std::{path::PathBuf, sync::OnceLock};

use ort::{environment::Environment as OrtEnvironment, logging::LogLevel};

pub use error::RuntimeError;
pub use instance::Instance;
pub use library::LibraryNotFound;
pub use ort::session::RunOptions;
pub use pool::{InstancePool, Ran};

use crate::config::{Environment, RuntimeSettings};

/// ONNX Runtime, loaded and initialized. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    environment: &'static OrtEnvironment,
}

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
        let loaded = LOADED.get_or_init(|| {
            let path = library::find(settings, environment)?;
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
