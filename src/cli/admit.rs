//! `onnx-gateway admit` and `admit-each`, which only the server starts.

use std::io;

use super::Failure;
use crate::lifecycle::{run_admission, run_admissions};

/// Runs the job on standard input and writes the report to standard output.
pub(super) fn admit() -> Result<(), Failure> {
    Ok(run_admission(io::stdin().lock(), io::stdout().lock())?)
}

/// Runs a job for each line of standard input and writes each outcome to standard output.
pub(super) fn admit_each() -> Result<(), Failure> {
    Ok(run_admissions(io::stdin().lock(), io::stdout())?)
}
