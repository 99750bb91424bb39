//! Trying a model in ONNX Runtime's own format: it must answer exactly as the original does.

use std::{fs::File, path::Path, time::Instant};

use super::{Costs, Job, MANY_ROWS, contract_of, first_row, memory, micros, time_runs};
use crate::{
    lifecycle::{Reason, Refusal, proof::prove},
    model::{Contract, Signature, Tensor, TensorData, Value},
    runtime::{Instance, RunOptions, Runtime},
};

/// So many rows, drawn from what the contract allows, are answered by both.
const COMPARED_ROWS: usize = 512;

/// Where the contract sets no bounds, rows are drawn from this far around zero.
const DRAWN_BOUND: f64 = 10.0;

/// Converts the model, compares the answers, and measures what the converted one costs.
pub(super) fn try_converted(
    runtime: Runtime,
    job: &Job,
    converted: &Path,
    status: &mut File,
) -> Result<(Signature, Contract, Costs), Refusal> {
    let mut original = Instance::load_and_convert(runtime, &job.file, converted)?;
    let contract = contract_of(&original, job.contract.as_ref())?;
    let before = memory(status, "VmRSS:");
    let start = Instant::now();
    let mut instance = Instance::load(runtime, converted)?;
    let load_us = micros(start.elapsed());
    let session_bytes = memory(status, "VmRSS:").saturating_sub(before);
    if instance.signature() != original.signature() {
        return Err(differs("the signature differs"));
    }
    // The converted one proves itself as any model does, golden cases included.
    let proven = prove(&mut instance, &contract)?;
    let many = first_row(instance.signature(), &proven.inputs, MANY_ROWS);
    let drawn =
        first_row(instance.signature(), &proven.inputs, COMPARED_ROWS).map(|inputs| draw(inputs, &contract));
    for inputs in std::iter::once(&proven.inputs).chain(&many).chain(&drawn) {
        if run(&mut original, inputs)? != run(&mut instance, inputs)? {
            return Err(differs("an answer differs"));
        }
    }
    let one = first_row(instance.signature(), &proven.inputs, 1);
    let run_us = time_runs(&mut instance, one.as_ref().unwrap_or(&proven.inputs)).unwrap_or(load_us);
    let run_32_rows_us = many.and_then(|inputs| time_runs(&mut instance, &inputs));
    let peak_bytes = memory(status, "VmHWM:");
    let costs = Costs { load_us, run_us, run_32_rows_us, session_bytes, peak_bytes };
    Ok((instance.signature().clone(), contract, costs))
}

fn differs(what: &str) -> Refusal {
    Refusal::new(Reason::ProofFailed, format!("converted, it is another model: {what}"))
}

fn run(instance: &mut Instance, inputs: &[(String, Tensor)]) -> Result<Vec<Value>, Refusal> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    Ok(instance.run(&inputs, &options)?)
}

/// The inputs with every number of a float tensor drawn anew, within the bounds of its feature.
fn draw(inputs: Vec<(String, Tensor)>, contract: &Contract) -> Vec<(String, Tensor)> {
    // A fixed sequence (Numerical Recipes' linear congruential generator): a proof that differs from run to run is none.
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / f64::from(u32::MAX)
    };
    let mut drawn = |columns: usize, index: usize| {
        let feature = contract.features.get(index % columns.max(1));
        let minimum = feature.and_then(|feature| feature.minimum).unwrap_or(-DRAWN_BOUND);
        let maximum = feature.and_then(|feature| feature.maximum).unwrap_or(DRAWN_BOUND);
        minimum + (maximum - minimum) * next()
    };
    inputs
        .into_iter()
        .map(|(name, tensor)| {
            let shape = tensor.shape().to_vec();
            let columns = shape.get(1).copied().unwrap_or(1);
            #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
            let data = match tensor.data() {
                TensorData::F32(elements) => {
                    TensorData::F32((0..elements.len()).map(|index| drawn(columns, index) as f32).collect())
                }
                TensorData::F64(elements) => {
                    TensorData::F64((0..elements.len()).map(|index| drawn(columns, index)).collect())
                }
                other => other.clone(),
            };
            (name, Tensor::new(shape, data).unwrap_or(tensor))
        })
        .collect()
}
