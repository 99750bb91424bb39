//! Replay, off the request path, of requests that a deployment on trial failed, against the previous deployment.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use super::{Proof, Refusal, Snapshot, failure_monitor::Sample};
use crate::{
    auth::RunPermit,
    lifecycle::Reason,
    model::{Feature, RowInputs, RowOutputs, Scalar, Tensor, Value, check_dividends, check_inputs},
    runtime::{Inputs, Instance, RunOptions, Runtime, SessionOptions},
};

/// A replay against one deployment.
pub(super) struct Replay {
    pub(super) runtime: Runtime,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) proof: Proof,
    /// Options that terminate the run in progress from another thread.
    pub(super) options: Arc<RunOptions>,
    /// Time after which nothing is run.
    pub(super) deadline: Instant,
}

impl Replay {
    /// Loads the deployment, runs each sample, and drops it. True for each sample that succeeds, `None` for those not
    /// run in time.
    ///
    /// # Errors
    ///
    /// If it cannot be loaded.
    pub(super) fn run(&self, samples: &[(usize, Sample)]) -> Result<Vec<Option<bool>>, Refusal> {
        catch_unwind(AssertUnwindSafe(|| self.ask_all(samples)))
            .unwrap_or_else(|_| Err(Refusal::new(Reason::ProofFailed, "the comparison panicked")))
    }

    fn ask_all(&self, samples: &[(usize, Sample)]) -> Result<Vec<Option<bool>>, Refusal> {
        self.snapshot
            .verify()
            .map_err(|error| Refusal::new(Reason::Unreadable, format!("its copy: {error}")))?;
        let file = self.snapshot.file_to_load(self.proof.converted);
        let mut instance = Instance::load(self.runtime, &file, &SessionOptions::default())?;
        if instance.signature() != self.proof.declared() {
            return Err(Refusal::new(Reason::ProofFailed, "the model differs from its proof"));
        }
        Ok(samples.iter().map(|(_, sample)| self.ask(&mut instance, sample)).collect())
    }

    /// Runs one sample. True if it succeeds, `None` if time ran out.
    fn ask(&self, instance: &mut Instance, sample: &Sample) -> Option<bool> {
        if self.is_late() {
            return None;
        }
        let is_answered = self.answers(instance, sample);
        // A terminated run says nothing.
        (is_answered || !self.is_late()).then_some(is_answered)
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Returns true if the model accepts the inputs and its outputs comply with its contract.
    fn answers(&self, instance: &mut Instance, sample: &Sample) -> bool {
        let Proof { contract, divides, .. } = &self.proof;
        let signature = self.proof.declared();
        let inputs = match (&sample.inputs, signature.inputs.as_slice()) {
            (Inputs::Named(named), _) => named.clone(),
            (Inputs::Only(tensor), [only]) => vec![(only.name.clone(), tensor.clone())],
            (Inputs::Only(_), _) => return false,
        };
        if check_inputs(signature, &inputs).is_err() || (*divides && check_dividends(&inputs).is_err()) {
            return false;
        }
        let rows = signature.rows(&inputs);
        if sample.by_rows && !rows.is_some_and(|rows| self.takes_rows(&inputs, rows)) {
            return false;
        }
        let named: Vec<(&str, &Tensor)> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let permit = RunPermit::of_comparison();
        let Ok(outputs) = instance.run(&named, &self.options, permit) else { return false };
        let is_finite = contract.allows_non_finite() || outputs.iter().all(Value::is_finite);
        let is_by_row = || {
            let (Some(rows), Ok(Some(layout))) = (rows, self.proof.layout_by(contract)) else { return false };
            RowOutputs::new(rows, outputs, signature, &layout.outputs).is_ok()
        };
        is_finite && (!sample.by_rows || is_by_row())
    }

    /// Returns true if the contract allows these rows: a deployment on trial may accept more than the previous one.
    fn takes_rows(&self, inputs: &[(String, Tensor)], rows: usize) -> bool {
        let contract = &self.proof.contract;
        let Ok(Some(layout)) = self.proof.layout_by(contract) else { return false };
        let cell = |row: usize, column: usize| match &layout.inputs {
            RowInputs::Matrix { columns, .. } => inputs.first()?.1.data().get(row * columns + column),
            RowInputs::Columns(columns) => {
                let name = &columns.get(column)?.input;
                inputs.iter().find(|(input, _)| input == name)?.1.data().get(row)
            }
        };
        let mut features = contract.features.iter().enumerate();
        features.all(|(column, feature)| {
            (0..rows).all(|row| cell(row, column).is_some_and(|value| allows(feature, value)))
        })
    }
}

/// Returns true if the feature may have this value. The range is compared in the precision of the value, as in the
/// tensor.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "what is out of range by less than a rounding is allowed"
)]
fn allows(feature: &Feature, value: Scalar<'_>) -> bool {
    let (minimum, maximum) =
        (feature.minimum.unwrap_or(f64::NEG_INFINITY), feature.maximum.unwrap_or(f64::INFINITY));
    match value {
        Scalar::Single(value) if value.is_nan() => !feature.missing.is_refused(),
        Scalar::Double(value) if value.is_nan() => !feature.missing.is_refused(),
        Scalar::Single(value) => (minimum as f32..=maximum as f32).contains(&value),
        Scalar::Double(value) => (minimum..=maximum).contains(&value),
        Scalar::Integer(value) => (minimum..=maximum).contains(&(value as f64)),
        Scalar::Unsigned(value) => (minimum..=maximum).contains(&(value as f64)),
        Scalar::Bool(_) | Scalar::Text(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Missing;

    #[test]
    fn what_the_deployment_before_would_not_take_it_does_not_answer() {
        let width = Feature { minimum: Some(0.1), maximum: Some(15.0), ..Feature::new("width") };
        for (value, is_allowed) in [
            (Scalar::Single(0.1), true),
            (Scalar::Single(15.1), false),
            (Scalar::Double(0.09), false),
            (Scalar::Integer(15), true),
            (Scalar::Unsigned(16), false),
            (Scalar::Single(f32::NAN), false),
            (Scalar::Double(f64::NAN), false),
            (Scalar::Text("wide"), true),
        ] {
            assert_eq!(allows(&width, value), is_allowed, "{value:?}");
        }
        let gap = Feature { missing: Missing::Nan, ..width };
        assert!(allows(&gap, Scalar::Single(f32::NAN)));
    }
}
