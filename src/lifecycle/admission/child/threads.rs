//! Measurement of a model with several threads per session, in a child that may start them.

use super::{Costs, Findings, Job, contract_of, facts, first_row, time_runs};
use crate::{
    lifecycle::{Refusal, proof::prove},
    runtime::{Instance, Runtime},
};

/// Proves the model with several threads too, and measures the duration of a run.
pub(super) fn try_threaded(runtime: Runtime, job: &Job) -> Result<Findings, Refusal> {
    let mut instance = Instance::load(runtime, &job.file, &job.session)?;
    let contract = contract_of(&instance, job.contract.as_ref(), facts(&job.file, &instance)?)?;
    let proven = prove(&mut instance, &contract)?;
    let one = first_row(instance.signature(), &proven.inputs, 1);
    let run_threads_us = time_runs(&mut instance, one.as_ref().unwrap_or(&proven.inputs));
    let costs = Costs { run_threads_us, ..Costs::default() };
    Ok(Findings::of(&instance, contract, costs))
}
