//! Proving a candidate before it serves: it loads, it runs, it answers what it must.

use std::sync::Arc;

use super::{Reason, Refusal, Servable, Snapshot};
use crate::{
    config::RuntimeSettings,
    model::{
        CONTRACT_KEY, Cell, Contract, ElementType, Feature, Layout, ModelName, ModelVersion, Row, Tensor,
        TensorData, rows_to_tensor,
    },
    runtime::{Instance, InstancePool, RunOptions, Runtime},
};

/// Loads a snapshot and proves it; blocks for as long as loading and a few runs take.
///
/// `replaced` is the version in service under the same number, whose callers must not be broken.
///
/// # Errors
///
/// Why it may not serve.
pub fn admit(
    runtime: Runtime,
    settings: &RuntimeSettings,
    (name, version): (ModelName, ModelVersion),
    snapshot: Snapshot,
    replaced: Option<&Servable>,
) -> Result<Servable, Refusal> {
    let mut instance = Instance::load(runtime, snapshot.file())?;
    let signature = instance.signature().clone();
    let contract = match instance.metadata(CONTRACT_KEY)? {
        Some(json) => Contract::parse(&json, &signature)
            .map_err(|error| Refusal::new(Reason::InvalidContract, error.to_string()))?,
        None => Contract::empty(),
    };
    let layout = Layout::of(&signature, &contract)
        .map_err(|error| Refusal::new(Reason::Unsupported, error.to_string()))?;
    if let Some(replaced) = replaced {
        let changes = signature.breaking_changes(&replaced.signature);
        if !changes.is_empty() {
            let detail = format!("callers of the version in service would break: {}", changes.join("; "));
            return Err(Refusal::new(Reason::IncompatibleSignature, detail));
        }
    }
    prove(&mut instance, &contract, &layout)?;

    let size = if settings.instances == 0 { Runtime::cpus() } else { settings.instances };
    let more = (1..size).map(|_| Instance::load(runtime, snapshot.file()));
    let instances = std::iter::once(Ok(instance)).chain(more).collect::<Result<Vec<_>, _>>()?;
    let pool = Arc::new(InstancePool::new(instances, settings.queue_capacity));
    Ok(Servable { name, version, signature, contract, layout, pool, snapshot })
}

/// Runs the golden cases, or one made-up row if there are none.
fn prove(instance: &mut Instance, contract: &Contract, layout: &Layout) -> Result<(), Refusal> {
    if contract.golden.is_empty() {
        let row = [made_up_row(contract, layout)];
        let tensor = rows_to_tensor(&row, layout, contract).map_err(|violations| {
            let detail = violations.first().map(|violation| violation.message.clone()).unwrap_or_default();
            Refusal::new(Reason::InvalidContract, detail)
        })?;
        run_finite(instance, &[(&layout.input, &tensor)])?;
    }
    for (index, case) in contract.golden.iter().enumerate() {
        let inputs: Vec<(&str, &Tensor)> =
            case.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let outputs = run_finite(instance, &inputs)?;
        for (name, expected) in &case.outputs {
            let position = instance.signature().outputs.iter().position(|spec| spec.name == *name);
            let given = position.and_then(|position| outputs.get(position));
            if let Some(difference) = given.and_then(|given| difference(given, expected, contract.tolerance))
            {
                let detail = format!("golden case {index}, output `{name}`: {difference}");
                return Err(Refusal::new(Reason::GoldenMismatch, detail));
            }
        }
    }
    Ok(())
}

fn run_finite(instance: &mut Instance, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Refusal> {
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    let outputs = instance.run(inputs, &options)?;
    let named = instance.signature().outputs.iter().zip(&outputs);
    for (spec, output) in named {
        if !output.data().is_finite() {
            let detail = format!("output `{}` holds NaN or infinity", spec.name);
            return Err(Refusal::new(Reason::NonFiniteOutput, detail));
        }
    }
    Ok(outputs)
}

/// A row that the contract allows: ones where it says nothing, as a zero is the one number that many a model may
/// rightly not be defined for.
fn made_up_row(contract: &Contract, layout: &Layout) -> Row {
    let number = |feature: Option<&Feature>| {
        let minimum = feature.and_then(|feature| feature.minimum).unwrap_or(f64::NEG_INFINITY);
        let maximum = feature.and_then(|feature| feature.maximum).unwrap_or(f64::INFINITY);
        1.0_f64.max(minimum).min(maximum)
    };
    let cell = |column| match layout.element_type {
        ElementType::String => Cell::Text(String::new()),
        ElementType::Bool => Cell::Bool(true),
        ElementType::F32 | ElementType::F64 => Cell::Float(number(contract.features.get(column))),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a bound beyond every integer is beyond the model too"
        )]
        _ => Cell::Integer(number(contract.features.get(column)).ceil() as i128),
    };
    Row::Positional((0..layout.columns).map(cell).collect())
}

/// How an output differs from what it must be, if it does.
fn difference(given: &Tensor, expected: &Tensor, tolerance: f64) -> Option<String> {
    if given.shape() != expected.shape() {
        return Some(format!("the shape is {:?}, not {:?}", given.shape(), expected.shape()));
    }
    let off = |position: usize, given: f64, expected: f64| {
        let differs = (given - expected).abs() > tolerance;
        differs.then(|| format!("element {position} is {given}, not {expected} (tolerance {tolerance})"))
    };
    match (given.data(), expected.data()) {
        (TensorData::F32(given), TensorData::F32(expected)) => (given.iter().zip(expected).enumerate())
            .find_map(|(position, (given, expected))| off(position, f64::from(*given), f64::from(*expected))),
        (TensorData::F64(given), TensorData::F64(expected)) => (given.iter().zip(expected).enumerate())
            .find_map(|(position, (given, expected))| off(position, *given, *expected)),
        (given, expected) if given == expected => None,
        (given, expected) if given.element_type() == expected.element_type() => {
            Some(format!("it is {given:?}, not {expected:?}"))
        }
        (given, expected) => {
            Some(format!("it holds {}, not {}", given.element_type(), expected.element_type()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Tensor {
        Tensor::new(vec![values.len()], TensorData::F32(values.to_vec())).unwrap()
    }

    #[test]
    fn golden_outputs_may_be_off_by_the_tolerance() {
        assert_eq!(difference(&floats(&[0.5, 1.0]), &floats(&[0.5, 1.0]), 0.0), None);
        assert_eq!(difference(&floats(&[0.5004]), &floats(&[0.5]), 0.001), None);
        let message = difference(&floats(&[0.5, 0.75]), &floats(&[0.5, 0.5]), 0.001).unwrap();
        assert_eq!(message, "element 1 is 0.75, not 0.5 (tolerance 0.001)");
        let labels = |label| Tensor::new(vec![1], TensorData::I64(vec![label])).unwrap();
        assert_eq!(difference(&labels(1), &labels(1), 1.0), None);
        assert_eq!(difference(&labels(1), &labels(2), 1.0).unwrap(), "it is I64([1]), not I64([2])");
        assert!(difference(&floats(&[1.0]), &labels(1), 1.0).unwrap().contains("FP32, not INT64"));
        assert!(difference(&floats(&[1.0]), &floats(&[1.0, 2.0]), 1.0).unwrap().contains("shape"));
    }
}
