//! `onnx-gateway admit`, which only the server starts.

use std::io;

use super::Failure;
use crate::lifecycle::run_admission;

/// Carries out the job on standard input and writes the report to standard output.
pub(super) fn admit() -> Result<(), Failure> {
    Ok(run_admission(io::stdin().lock(), io::stdout().lock())?)
}
