//! What the two processes of a proof tell each other, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Proof;
use crate::{lifecycle::Refusal, system::sandbox::Limits};

/// What is to be proven.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// The process that waits for the report.
    pub(super) parent: u32,
    /// ONNX Runtime's shared library.
    pub(super) library: PathBuf,
    /// The model.
    pub(super) file: PathBuf,
    /// All that may be read from then on.
    pub(super) folder: PathBuf,
    /// The file that the converted model is written to, alone in its folder.
    pub(super) converted: Option<PathBuf>,
    /// What overrides the contract in the model's metadata.
    pub(super) contract: Option<Value>,
    /// How much may be used.
    pub(super) limits: Limits,
    /// Whether it is to be run, too, or only asked what it is.
    pub(super) depth: Depth,
    /// Threads of a session, its caller's included; more than one only where that is what is to be measured.
    pub(super) threads: usize,
    /// Whether to refuse where the kernel cannot shut it in.
    pub(super) require_sandbox: bool,
}

/// How much is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// What it takes and gives.
    Declared,
    /// That it runs and answers what it must.
    Proven,
    /// What it costs in ONNX Runtime's own format, into which it is converted, and that it answers the same.
    Converted,
    /// How long a run takes with several threads, and that it answers what it must.
    Threaded,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// It may serve, as far as the child is concerned.
    Proven(Box<Proof>),
    /// It may not.
    Refused(Refusal),
}
