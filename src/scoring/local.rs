//! Scoring with a model in this process, proven and loaded as by the server.

use std::sync::Arc;

use super::{
    block::Scored, error::ScoringError, file_columns::ModelColumns, outputs::OutputPlan, row_error::RowError,
    row_model::RowModel,
};
use crate::{
    auth::RunPermit,
    lifecycle::{LoadedCopy, Proof},
    model::{FlatLayout, NoRows, Tensor, Value, check_dividends},
    runtime::{Instance, RunOptions, RuntimeError},
};

/// A model in this process.
#[derive(Debug)]
pub struct LocalModel {
    pub(super) shared: Arc<LocalShared>,
    pub(super) instances: Vec<Instance>,
}

/// The part of a model that all its instances share.
#[derive(Debug)]
pub(super) struct LocalShared {
    pub(super) rows: RowModel,
    pub(super) plan: OutputPlan,
    /// True if the model divides, so that a zero could end the process.
    divides: bool,
    /// True if several rows at once are answered as each alone.
    is_batchable: bool,
    /// For each output, true if it is the same for all rows.
    are_constant: Vec<bool>,
}

impl LocalModel {
    /// Takes a model that was proven and loaded.
    ///
    /// # Errors
    ///
    /// If it does not take rows.
    pub fn new(loaded: LoadedCopy, proof: &Proof) -> Result<Self, ScoringError> {
        let LoadedCopy { instances, contract, layout } = loaded;
        let Some(layout) = layout else {
            let reason = proof.against_rows().unwrap_or(NoRows::Inputs);
            return Err(ScoringError::Model(format!("{reason}, and a file holds rows")));
        };
        let constants = proof.output_forms.constants();
        let shared = LocalShared {
            plan: OutputPlan::new(&proof.signature, &contract, &layout),
            divides: proof.divides,
            is_batchable: proof.batchable,
            are_constant: (0..proof.signature.outputs.len())
                .map(|output| constants.contains(output))
                .collect(),
            rows: RowModel { flat: FlatLayout::of(&layout, &contract), layout, contract },
        };
        Ok(Self { shared: Arc::new(shared), instances })
    }

    /// Returns the columns that the model takes.
    pub(super) fn columns(&self) -> ModelColumns {
        ModelColumns::of(&self.shared.rows.layout, &self.shared.rows.contract)
    }
}

/// An instance that scores.
pub(super) struct LocalScorer {
    shared: Arc<LocalShared>,
    instance: Instance,
    options: RunOptions,
}

/// The inputs of a run.
type Inputs = [(String, Tensor)];

impl LocalScorer {
    pub(super) fn new(shared: Arc<LocalShared>, instance: Instance) -> Result<Self, ScoringError> {
        let options = RunOptions::new().map_err(|error| ScoringError::Model(error.to_string()))?;
        Ok(Self { shared, instance, options })
    }

    /// Runs rows, together if the model allows it.
    pub(super) fn score(&mut self, inputs: &Inputs, rows: usize) -> Result<Scored, ScoringError> {
        let mut scored = Scored { outputs: self.shared.plan.empty(), failed: Vec::new() };
        if self.shared.is_batchable {
            self.run_part(inputs, rows, 0, &mut scored)?;
        } else {
            for row in 0..rows {
                self.run_part(&part(inputs, row, 1)?, 1, row, &mut scored)?;
            }
        }
        Ok(scored)
    }

    /// Runs the rows that begin at `first`. If the run fails, it is done again in halves, until the rows that fail are
    /// alone.
    fn run_part(
        &mut self,
        inputs: &Inputs,
        rows: usize,
        first: usize,
        scored: &mut Scored,
    ) -> Result<(), ScoringError> {
        if rows == 0 {
            return Ok(());
        }
        match self.run(inputs) {
            Ok(outputs) => {
                let extended = self.shared.plan.extend(&mut scored.outputs, &outputs, rows);
                extended.map_err(ScoringError::Model)
            }
            Err(error) if rows == 1 => {
                scored.failed.push((first, vec![error]));
                Ok(())
            }
            Err(_) => {
                let half = rows / 2;
                self.run_part(&part(inputs, 0, half)?, half, first, scored)?;
                self.run_part(&part(inputs, half, rows - half)?, rows - half, first + half, scored)
            }
        }
    }

    /// Runs the model and checks its outputs; the error is that of the server.
    fn run(&mut self, inputs: &Inputs) -> Result<Vec<Value>, RowError> {
        if self.shared.divides
            && let Err(violations) = check_dividends(inputs)
        {
            let message = violations.listed.into_iter().next().map(|violation| violation.message);
            return Err(RowError::of_row("inputs_refused", message.unwrap_or_default()));
        }
        let named: Vec<(&str, &Tensor)> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let outputs = self.instance.run(&named, &self.options, RunPermit::of_command_line());
        let outputs = outputs.map_err(|error| match error {
            RuntimeError::Refused { reason, .. } => {
                RowError::of_row("inputs_refused", format!("the model refuses these inputs: {reason}"))
            }
            other => RowError::of_row("model_failed", other.to_string()),
        })?;
        self.check_finite(outputs)
    }

    fn check_finite(&self, outputs: Vec<Value>) -> Result<Vec<Value>, RowError> {
        if self.shared.rows.contract.allows_non_finite() {
            return Ok(outputs);
        }
        let mut by_row =
            outputs.iter().zip(&self.shared.are_constant).filter(|(_, is_constant)| !**is_constant);
        if by_row.all(|(output, _)| output.is_finite()) {
            return Ok(outputs);
        }
        Err(RowError::of_row(
            "model_failed",
            "the prediction holds NaN or infinity, which the contract does not allow",
        ))
    }
}

/// Returns some rows of the inputs.
fn part(inputs: &Inputs, first: usize, rows: usize) -> Result<Vec<(String, Tensor)>, ScoringError> {
    let part = |(name, tensor): &(String, Tensor)| Some((name.clone(), tensor.rows(first..first + rows)?));
    let parts = inputs.iter().map(part).collect::<Option<_>>();
    parts.ok_or_else(|| {
        ScoringError::Model("the inputs do not hold one row for each row of the file".to_owned())
    })
}
