//! Messages between the two processes of a proof, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Proof;
use crate::{lifecycle::Refusal, runtime::SessionOptions, system::sandbox::Limits};

/// A request to try a model.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// The process that waits for the report.
    pub(super) parent: u32,
    /// ONNX Runtime's shared library.
    pub(super) library: PathBuf,
    /// The model's file.
    pub(super) file: PathBuf,
    /// The only folder that the child may read from then on.
    pub(super) folder: PathBuf,
    /// Overrides of the contract in the model's metadata.
    pub(super) contract: Option<Value>,
    /// Limits of memory, CPU time and file size.
    pub(super) limits: Limits,
    /// The kind of work.
    pub(super) depth: JobKind,
    /// Options of the sessions. There is more than one thread only where threads are measured, and an optimized file,
    /// alone in its folder, only where the model is converted.
    pub(super) session: SessionOptions,
    /// True to refuse the model if the kernel cannot sandbox the child.
    pub(super) require_sandbox: bool,
}

/// Kinds of work of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Reads the signature.
    Declared,
    /// Proves that it runs and passes its checks.
    Proven,
    /// Converts it to ONNX Runtime's own format, measures it, and proves that its outputs are the same.
    Converted,
    /// Measures a run with several threads, and proves that it passes its checks.
    Threaded,
}

/// The result of a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The child found no reason to refuse the model.
    Proven(Box<Proof>),
    /// The model may not serve.
    Refused(Refusal),
}
