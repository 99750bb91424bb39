//! Trial of a model in ONNX Runtime's own format: its outputs must equal the original's exactly.

use std::{path::Path, time::Instant};

use super::{Costs, Findings, Job, MANY_ROWS, contract_of, facts, first_row, micros, time_runs};
use crate::{
    auth::RunPermit,
    lifecycle::{
        Reason, Refusal,
        proof::{RowSampler, prove},
    },
    model::{Tensor, Value},
    runtime::{Instance, RunOptions, Runtime, SessionOptions},
    system::memory::MemoryStatus,
};

/// Rows, drawn from what the contract allows, on which both models are compared.
const COMPARED_ROWS: usize = 512;

/// Converts the model, compares the outputs, and measures the costs of the converted form.
pub(super) fn try_converted(
    runtime: Runtime,
    job: &Job,
    converted: &Path,
    status: &mut MemoryStatus,
) -> Result<Findings, Refusal> {
    let mut original = Instance::load(runtime, &job.file, &job.session)?;
    let contract = contract_of(&original, job.contract.as_ref(), facts(&job.file, &original)?)?;
    let before = status.bytes("VmRSS:");
    let start = Instant::now();
    let session = SessionOptions { optimized_path: None, ..job.session.clone() };
    let mut instance = Instance::load(runtime, converted, &session)?;
    let load_us = micros(start.elapsed());
    let session_bytes = status.bytes("VmRSS:").saturating_sub(before);
    if instance.signature() != original.signature() {
        return Err(differs("the signature differs"));
    }
    // The converted form is proven as any model is, golden cases included.
    let proven = prove(&mut instance, &contract)?;
    let many = first_row(instance.signature(), &proven.inputs, MANY_ROWS);
    let one = first_row(instance.signature(), &proven.inputs, 1);
    let drawn = one
        .as_ref()
        .and_then(|one| RowSampler::new(&contract, false).rows(std::slice::from_ref(one), COMPARED_ROWS));
    let edges = one.as_ref().and_then(|one| RowSampler::new(&contract, false).edges(one, MANY_ROWS));
    for inputs in std::iter::once(&proven.inputs).chain(&many).chain(&drawn).chain(&edges) {
        if run(&mut original, inputs)? != run(&mut instance, inputs)? {
            return Err(differs("an output differs"));
        }
    }
    let run_us = time_runs(&mut instance, one.as_ref().unwrap_or(&proven.inputs)).unwrap_or(load_us);
    let run_32_rows_us = many.and_then(|inputs| time_runs(&mut instance, &inputs));
    let peak_bytes = status.bytes("VmHWM:");
    let costs = Costs { load_us, run_us, run_32_rows_us, run_threads_us: None, session_bytes, peak_bytes };
    // Its outputs equal the original's, whose proof already says the rest.
    Ok(Findings::of(&instance, contract, costs))
}

fn differs(what: &str) -> Refusal {
    Refusal::new(Reason::ProofFailed, format!("the converted model differs: {what}"))
}

fn run(instance: &mut Instance, inputs: &[(String, Tensor)]) -> Result<Vec<Value>, Refusal> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    Ok(instance.run(&inputs, &options, RunPermit::of_proof())?)
}
