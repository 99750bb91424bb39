//! Proving that the rows of several requests may be run at once: that a model answers each row alone as it does among
//! others.
//!
//! No signature says so: a mean over all rows, a softmax along the wrong axis or a loop that ends with the last row are
//! as good a model as any. So rows that differ are run both ways.

use super::{
    run,
    varied::{Inputs, Varied, joined, split},
};
use crate::{
    model::{Constants, Contract, Dimension, Signature, Tensor, Value, ValueSpec},
    runtime::{Instance, RunOptions},
};

/// So many rows are compared.
const ROWS: usize = 32;

/// Fewer where a run takes long: this is how long running all of them one by one may take, and at once as long again.
const BUDGET_US: u64 = 450_000;

/// Larger inputs are not made.
const MAX_ELEMENTS: usize = 1 << 24;

/// Kernels for one row and for many add in another order; that much of a number is rounding, whatever the contract says.
const ROUNDING: f64 = 1e-5;

/// Returns true if several rows at once are answered as each alone. `inputs` are some that run, in about `run_us` a row; `constants`
/// are outputs that are the same for all rows, as far as is known.
///
/// What cannot be found out, as too little is known of what the model takes, is answered with no.
pub fn is_batchable(
    instance: &mut Instance,
    contract: &Contract,
    inputs: &[(String, Tensor)],
    run_us: u64,
    constants: &Constants,
) -> bool {
    let Ok(options) = RunOptions::new() else { return false };
    let bases = bases(instance.signature(), contract, inputs);
    let Some(count) = bases.first().and_then(|base| row_count(base, run_us)) else { return false };
    let bases = &bases[..bases.len().min(count)];
    let are_made_up = contract.golden.is_empty();
    // Texts first, then without, then nothing that the author has not shown: each may be more than the model takes.
    let attempts = [
        are_made_up.then(|| Varied::new(contract, true).rows(bases, count)).flatten(),
        Varied::new(contract, false).rows(bases, count),
        joined(bases),
    ];
    let mut judge = Judge { instance, options: &options, tolerance: tolerance(contract), constants };
    let mut attempts = attempts.into_iter().flatten();
    attempts.find_map(|batch| judge.judge(&batch)).unwrap_or(false)
}

/// What of the contract says how far answers may be apart.
fn tolerance(contract: &Contract) -> Contract {
    let mut tolerance = Contract::empty();
    tolerance.tolerance = contract.tolerance;
    tolerance.relative_tolerance = contract.relative_tolerance.max(ROUNDING);
    tolerance
}

/// Rows that are known to run: of the golden cases, else of what was made up. None if the model takes no rows.
fn bases(signature: &Signature, contract: &Contract, inputs: &[(String, Tensor)]) -> Vec<Inputs> {
    let takes_rows = |spec: &ValueSpec| {
        let (_, shape) = spec.as_tensor().filter(|_| !spec.is_optional())?;
        matches!(shape.first(), Some(Dimension::Dynamic(_))).then_some(())
    };
    if signature.inputs.is_empty() || signature.inputs.iter().any(|spec| takes_rows(spec).is_none()) {
        return Vec::new();
    }
    let known = contract.golden.iter().map(|case| &case.inputs[..]).chain([inputs]);
    let mut rows: Vec<Inputs> = Vec::new();
    for row in known.filter_map(split).flatten() {
        // Rows of other sizes, as texts and sounds have, do not go with the first one's.
        let fits = rows.first().is_none_or(|first| joined(&[first.clone(), row.clone()]).is_some());
        if fits && row.len() == signature.inputs.len() && !rows.contains(&row) && rows.len() < ROWS {
            rows.push(row);
        }
    }
    rows
}

/// How many rows to compare; nothing where that takes too long or too much.
fn row_count(base: &Inputs, run_us: u64) -> Option<usize> {
    let in_time = usize::try_from(BUDGET_US / run_us.max(1)).unwrap_or(ROWS);
    let elements: usize = base.iter().map(|(_, tensor)| tensor.data().len()).sum();
    let count = ROWS.min(in_time).min(MAX_ELEMENTS / elements.max(1));
    (count > 1).then_some(count)
}

struct Judge<'i> {
    instance: &'i mut Instance,
    options: &'i RunOptions,
    tolerance: Contract,
    constants: &'i Constants,
}

impl Judge<'_> {
    /// Whether the rows are answered alike; nothing where they are not answered at all, or are all the same.
    fn judge(&mut self, batch: &Inputs) -> Option<bool> {
        let rows = split(batch)?;
        rows.iter().any(|row| Some(row) != rows.first()).then_some(())?;
        let alone: Vec<Vec<Value>> = rows.iter().map(|row| self.run(row)).collect::<Option<_>>()?;
        // What answers each alone but not all at once is no batch's.
        let Some(together) = self.run(batch) else { return Some(false) };
        let agree = |(index, alone): (usize, &Vec<Value>)| {
            together.len() == alone.len()
                && together.iter().zip(alone).enumerate().all(|(output, (all, one))| {
                    if self.constants.contains(output) {
                        return self.tolerance.difference(all, one).is_none();
                    }
                    self.agree(all, one, index, rows.len())
                })
        };
        Some(alone.iter().enumerate().all(agree))
    }

    fn agree(&self, all: &Value, one: &Value, index: usize, rows: usize) -> bool {
        let row = || all.rows(index..index + 1);
        all.holds_rows(rows)
            && one.holds_rows(1)
            && row().is_some_and(|row| self.tolerance.difference(&row, one).is_none())
    }

    fn run(&mut self, inputs: &Inputs) -> Option<Vec<Value>> {
        run(self.instance, inputs, self.options).ok()
    }
}
