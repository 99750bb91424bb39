//! Options of a session.

use std::path::{Path, PathBuf};

use ort::{
    ep::CPU,
    session::{Session, builder::SessionBuilder},
};
use serde::{Deserialize, Serialize};

use super::Runtime;
use crate::model::Schedule;

/// Options of a session: the only place where the server, the child of a proof and the commands say how a model is
/// loaded. They travel to the child as they are, so that it proves what will serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// Threads that run a request, the caller's included. With 1, the session spawns none: parallel sessions use the
    /// CPUs better than threads within one. Idle threads sleep: a run begins a little later for it, but a spinning
    /// thread would take its CPU from the requests.
    pub threads: usize,
    /// The file to which the loaded model is written in ONNX Runtime's own format, which some models need less memory
    /// to load from. It is only for this machine and this version of ONNX Runtime. `None` if nothing is written.
    pub optimized_path: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { threads: 1, optimized_path: None }
    }
}

impl From<&Schedule> for SessionOptions {
    fn from(schedule: &Schedule) -> Self {
        Self { threads: schedule.threads, ..Self::default() }
    }
}

impl SessionOptions {
    /// Applies the options, and the execution provider that every session has.
    pub(super) fn builder(&self, runtime: Runtime) -> ort::Result<CpuSessionBuilder> {
        let builder = Session::builder(runtime.environment)?;
        // Memory of a large run is freed when it ends: ONNX Runtime's own allocator would keep the most that it ever had.
        let cpu = CPU::default().with_arena_allocator(false).build();
        let builder = builder.with_execution_providers([cpu])?;
        let builder = builder
            .with_intra_threads(self.threads.max(1))?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?;
        let builder = match &self.optimized_path {
            Some(path) => builder.with_optimized_model_path(path)?,
            None => builder,
        };
        Ok(CpuSessionBuilder(builder))
    }
}

/// A builder of sessions that have no execution provider but the CPU's. Only [`SessionOptions::builder`] makes it.
pub(super) struct CpuSessionBuilder(SessionBuilder);

impl CpuSessionBuilder {
    /// Loads a model file.
    ///
    /// # Errors
    ///
    /// When ONNX Runtime refuses the file.
    pub(super) fn load(mut self, file: &Path) -> ort::Result<CpuSession> {
        self.0.commit_from_file(file).map(CpuSession)
    }
}

/// A session that has no execution provider but the CPU's.
#[derive(Debug)]
pub(super) struct CpuSession(Session);

impl CpuSession {
    /// Returns the session, for reading.
    pub(super) fn get(&self) -> &Session {
        &self.0
    }
}
