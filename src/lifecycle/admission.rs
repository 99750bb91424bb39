//! Proving a candidate before it serves: it loads, it runs, it answers what it must.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

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
        let mut changes = signature.breaking_changes(&replaced.signature);
        changes.extend(contract.breaking_changes(&replaced.contract));
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
            let first = violations.listed.first();
            let detail = first.map(|violation| violation.message.clone()).unwrap_or_default();
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

/// How long one run may take: a candidate that loops for ever must not keep all others from being tried.
const RUN_TIMEOUT: Duration = Duration::from_secs(10);

fn run_finite(instance: &mut Instance, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Refusal> {
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    let (finished, watched) = mpsc::channel::<()>();
    let ran = thread::scope(|scope| {
        let options = &options;
        scope.spawn(move || {
            let ended = watched.recv_timeout(RUN_TIMEOUT);
            // Telling it to end fails for no reason that waiting longer would mend.
            ended == Err(mpsc::RecvTimeoutError::Timeout) && options.terminate().is_ok()
        });
        let start = Instant::now();
        let outputs = instance.run(inputs, options);
        drop(finished);
        (outputs, start.elapsed())
    });
    let outputs = match ran {
        (Err(_), duration) if duration >= RUN_TIMEOUT => {
            let detail = format!("a run did not end within {} s", RUN_TIMEOUT.as_secs());
            return Err(Refusal::new(Reason::TimedOut, detail));
        }
        (outputs, _) => outputs?,
    };
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

/// How an output differs from what it must be, if it does: at its first element that does.
fn difference(given: &Tensor, expected: &Tensor, tolerance: f64) -> Option<String> {
    if given.shape() != expected.shape() {
        return Some(format!("the shape is {:?}, not {:?}", given.shape(), expected.shape()));
    }
    let (types, data) =
        ((given.data().element_type(), expected.data().element_type()), (given.data(), expected.data()));
    if types.0 != types.1 {
        return Some(format!("it holds {}, not {}", types.0, types.1));
    }
    let count = given.data().len();
    match data {
        (TensorData::F32(given), TensorData::F32(expected)) => {
            let pair = |index: usize| (f64::from(given[index]), f64::from(expected[index]));
            (0..count).find_map(|index| off(index, pair(index), tolerance))
        }
        (TensorData::F64(given), TensorData::F64(expected)) => {
            (0..count).find_map(|index| off(index, (given[index], expected[index]), tolerance))
        }
        (given, expected) if given == expected => None,
        (given, expected) => {
            let differs = |index: &usize| given.get(*index) != expected.get(*index);
            let index = (0..count).find(differs)?;
            Some(format!("element {index} is {:?}, not {:?}", given.get(index)?, expected.get(index)?))
        }
    }
}

fn off(index: usize, (given, expected): (f64, f64), tolerance: f64) -> Option<String> {
    let differs = (given - expected).abs() > tolerance;
    differs.then(|| format!("element {index} is {given}, not {expected} (tolerance {tolerance})"))
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
        assert_eq!(
            difference(&labels(1), &labels(2), 1.0).unwrap(),
            "element 0 is Integer(1), not Integer(2)"
        );
        assert!(difference(&floats(&[1.0]), &labels(1), 1.0).unwrap().contains("FP32, not INT64"));
        assert!(difference(&floats(&[1.0]), &floats(&[1.0, 2.0]), 1.0).unwrap().contains("shape"));
    }
}
