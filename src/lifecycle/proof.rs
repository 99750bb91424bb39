//! The proof that a model runs: golden cases, or synthetic inputs if it has none.

mod batchable;
mod classes;
mod examples;
mod forms;
mod known;
mod row_sampler;
mod shapes;
mod synthetic_inputs;

pub use batchable::{BatchingFound, BatchingHints, find_batching};
pub use classes::check_classes;
pub use examples::{example_inputs, short_example_inputs};
pub use forms::{FoundOutputs, find_outputs};
pub(super) use row_sampler::RowSampler;
use synthetic_inputs::{ATTEMPTS, synthetic_inputs};

use super::{Reason, Refusal};
use crate::{
    auth::RunPermit,
    model::{Contract, ElementType, Layout, Tensor, Value},
    runtime::{Instance, RunOptions},
};

/// Inputs by name.
pub(super) type Inputs = Vec<(String, Tensor)>;

/// The result of a proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// The inputs of a case that ran, for measurements.
    pub inputs: Vec<(String, Tensor)>,
}

/// Runs the golden cases and compares their outputs. Without golden cases, tries synthetic inputs until the outputs are
/// finite.
///
/// Blocks for the duration of the runs.
///
/// # Errors
///
/// The reason why the model may not serve.
pub fn prove(instance: &mut Instance, contract: &Contract) -> Result<Proven, Refusal> {
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    prove_with(instance, contract, &options)
}

/// Proves like [`prove`], with runs that `options` can terminate from another thread.
pub(super) fn prove_with(
    instance: &mut Instance,
    contract: &Contract,
    options: &RunOptions,
) -> Result<Proven, Refusal> {
    if contract.golden.is_empty() {
        try_out(instance, contract, options)
    } else {
        compare(instance, contract, options)
    }
}

/// Lists synthetic values that neither contract nor graph confirms, one line per kind.
#[must_use]
pub fn assumptions(contract: &Contract, inputs: &[(String, Tensor)]) -> Vec<String> {
    if !contract.golden.is_empty() {
        return Vec::new();
    }
    let guessed = batchable::guessed(contract, &first_rows(inputs));
    let of_kind = |is_text: bool, words: &str| {
        let named = guessed.iter().filter(|(_, of)| (*of == ElementType::String) == is_text);
        let names: Vec<String> = named.map(|(name, _)| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("{words} {}", names.join(", ")))
    };
    let texts = of_kind(true, "synthetic texts for");
    texts.into_iter().chain(of_kind(false, "whole numbers of unknown range for")).collect()
}

/// Takes the first row of each input; inputs without rows stay as they are.
fn first_rows(inputs: &[(String, Tensor)]) -> Vec<(String, Tensor)> {
    let first = |(name, tensor): &(String, Tensor)| {
        (name.clone(), tensor.rows(0..1).unwrap_or_else(|| tensor.clone()))
    };
    inputs.iter().map(first).collect()
}

/// Runs each golden case.
fn compare(instance: &mut Instance, contract: &Contract, options: &RunOptions) -> Result<Proven, Refusal> {
    for (index, case) in contract.golden.iter().enumerate() {
        let outputs = run(instance, &case.inputs, options).map_err(|refusal| {
            Refusal::new(refusal.reason, format!("golden case {index}: {}", refusal.detail))
        })?;
        check_finite(instance, contract, &outputs)?;
        for (name, expected) in &case.outputs {
            let position = instance.signature().output_position(name);
            let given = position.and_then(|position| outputs.get(position));
            if let Some(difference) = given.and_then(|given| contract.difference(given, expected)) {
                let detail = format!("golden case {index}, output `{name}`: {difference}");
                return Err(Refusal::new(Reason::GoldenMismatch, detail));
            }
        }
    }
    let inputs = contract.golden.first().map(|case| case.inputs.clone()).unwrap_or_default();
    Ok(Proven { inputs })
}

/// Runs synthetic inputs of several sizes: many models accept only some of the sizes that their signature allows.
fn try_out(instance: &mut Instance, contract: &Contract, options: &RunOptions) -> Result<Proven, Refusal> {
    let signature = instance.signature().clone();
    let layout = Layout::of(&signature, contract)
        .map_err(|error| Refusal::new(Reason::InvalidContract, error.to_string()))?;
    let (mut failed, mut not_finite) = (None, None);
    for attempt in ATTEMPTS {
        let Some(inputs) = synthetic_inputs(&signature, layout.as_ref(), contract, *attempt)? else {
            continue;
        };
        let outputs = match run(instance, &inputs, options) {
            Ok(outputs) => outputs,
            Err(refusal) => {
                failed.get_or_insert(refusal);
                continue;
            }
        };
        match check_finite(instance, contract, &outputs) {
            Ok(()) => return Ok(Proven { inputs }),
            Err(refusal) => {
                not_finite.get_or_insert(refusal);
            }
        }
    }
    Err(not_finite.unwrap_or_else(|| {
        let cause =
            failed.map_or_else(|| "its inputs are too large to generate".to_owned(), |failed| failed.detail);
        let detail = format!(
            "{cause}; its inputs were synthetic: add a golden case to the contract with inputs that it takes"
        );
        Refusal::new(Reason::RunFailed, detail)
    }))
}

fn run(
    instance: &mut Instance,
    inputs: &[(String, Tensor)],
    options: &RunOptions,
) -> Result<Vec<Value>, Refusal> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    Ok(instance.run(&inputs, options, RunPermit::of_proof())?)
}

fn check_finite(instance: &Instance, contract: &Contract, outputs: &[Value]) -> Result<(), Refusal> {
    if contract.allows_non_finite() {
        return Ok(());
    }
    let named = instance.signature().outputs.iter().zip(outputs);
    match named.into_iter().find(|(_, output)| !output.is_finite()) {
        Some((spec, _)) => {
            let detail = format!("output `{}` holds NaN or infinity", spec.name);
            Err(Refusal::new(Reason::NonFiniteOutput, detail))
        }
        None => Ok(()),
    }
}
