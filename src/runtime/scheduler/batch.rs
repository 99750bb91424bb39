//! Batches: joins requests into one run, and splits its outputs.

use std::{sync::Arc, time::Instant};

use ort::session::RunOptions;

use super::{
    Shared,
    job::{Failed, Inputs, Job, Outputs, RunRequest, RunResult},
};
use crate::{
    auth::RunPermit,
    model::{Tensor, Value},
    runtime::{Instance, RuntimeError},
};

/// Returns true if two requests can be one run: their inputs differ only in the number of rows.
pub(super) fn can_run_with(one: &RunRequest, other: &RunRequest) -> bool {
    if one.rows.is_none() || other.rows.is_none() {
        return false;
    }
    let same = |(one, other): (&Tensor, &Tensor)| {
        one.data().element_type() == other.data().element_type()
            && one.shape().get(1..) == other.shape().get(1..)
    };
    match (&one.inputs, &other.inputs) {
        (Inputs::Only(one), Inputs::Only(other)) => same((one, other)),
        (Inputs::Named(one), Inputs::Named(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((name, one), (other_name, other))| name == other_name && same((one, other)))
        }
        _ => false,
    }
}

/// Runs jobs together and sends each its result. If the run fails, each is run alone, so that one request that the
/// model rejects does not fail the others.
pub(super) fn run(instance: &mut Instance, jobs: Vec<Job>, options: &RunOptions, shared: &Shared) {
    let rows: usize = jobs.iter().map(|job| job.asked.rows()).sum();
    let Some((first, others)) = jobs.split_first() else { return };
    let start = Instant::now();
    let outputs = if others.is_empty() {
        run_inputs(instance, &first.asked.inputs, first.asked.permit, options, shared)
    } else {
        match together(&jobs) {
            Some(inputs) => run_inputs(instance, &inputs, first.asked.permit, options, shared),
            None => Err(RuntimeError::Internal("batched inputs differ in type or shape")),
        }
    };
    let ended = Instant::now();
    shared.pace.record(rows, ended - start);
    let is_alone = others.is_empty();
    match outputs {
        Ok(outputs) if is_alone || shared.constants.hold_rows(&outputs, rows) => {
            let constants = shared.constants.clone();
            let outputs = Outputs { values: Arc::new(outputs), constants };
            let mut begin = 0;
            for (index, job) in jobs.into_iter().enumerate() {
                let end = begin + job.asked.rows();
                let part = (!is_alone).then_some(begin..end);
                // The first of them counts the run.
                let runs = u64::from(index == 0);
                let Job { asked, response, .. } = job;
                let times = (start, ended);
                let ran = RunResult::new(outputs.clone(), part, asked.inputs, times, asked.since, rows, runs);
                // A caller that stopped waiting needs no result.
                let _ = response.send(Ok(ran));
                begin = end;
            }
        }
        Err(error) if is_alone => {
            for Job { asked, response, .. } in jobs {
                let _ = response.send(Err(Failed::on(error.clone(), asked.inputs)));
            }
        }
        Ok(_) | Err(_) => {
            for job in jobs {
                run(instance, vec![job], options, shared);
            }
        }
    }
}

fn run_inputs(
    instance: &mut Instance,
    inputs: &Inputs,
    permit: RunPermit,
    options: &RunOptions,
    shared: &Shared,
) -> Result<Vec<Value>, RuntimeError> {
    match inputs {
        Inputs::Named(named) => {
            let named: Vec<(&str, &Tensor)> =
                named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
            instance.run(&named, options, permit)
        }
        Inputs::Only(only) => {
            let Some(input) = shared.signature.inputs.first() else {
                return Err(RuntimeError::Internal("a tensor came for a model without inputs"));
            };
            instance.run(&[(&input.name, only)], options, permit)
        }
    }
}

/// Joins the inputs of all jobs; `None` if their types or shapes differ.
fn together(jobs: &[Job]) -> Option<Inputs> {
    let (first, _) = jobs.split_first()?;
    let joined = |position: usize| {
        let parts = jobs.iter().map(|job| job.asked.inputs.tensors().nth(position));
        Tensor::joined(&parts.collect::<Option<Vec<_>>>()?)
    };
    Some(match &first.asked.inputs {
        Inputs::Only(_) => Inputs::Only(joined(0)?),
        Inputs::Named(named) => {
            let input =
                |(position, (name, _)): (usize, &(String, Tensor))| Some((name.clone(), joined(position)?));
            Inputs::Named(named.iter().enumerate().map(input).collect::<Option<_>>()?)
        }
    })
}
