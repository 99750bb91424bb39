//! The test for batching: whether a model gives a row the same outputs among others as alone.
//!
//! No signature says so. A mean over all rows, a softmax along the wrong axis or a loop that ends with the last row are
//! valid models. The graph says it if all its operators are understood; rows that differ are run both ways in any case.
//! If neither settles it, rows are not batched.

mod pool;

use std::time::{Duration, Instant};

use super::{
    Inputs,
    known::Known,
    row_sampler::{joined, split},
    run,
};
use crate::{
    model::{
        Constants, Contract, Dimension, ElementType, RowDependence, Signature, Tensor, Value, ValueSpec,
    },
    runtime::{Instance, RunOptions},
};
use pool::Pool;

/// Most rows that are compared.
const ROWS: usize = 32;

/// Time for running the rows one by one, and again for running them at once. Slow models get fewer rows.
const SOFT_BUDGET: Duration = Duration::from_millis(450);

/// Largest number of elements in synthetic inputs.
const MAX_ELEMENTS: usize = 1 << 24;

/// Relative difference that counts as rounding, whatever the contract says: kernels for one row and for many add in
/// different orders.
const ROUNDING: f64 = 1e-5;

/// Largest absolute difference that counts as rounding. A contract may allow less for golden cases, but not more here.
const MOST_TOLERANCE: f64 = 1e-4;

/// Beyond this magnitude, rounding errors of a sum depend on the size of its terms, not on the sum.
const ORDINARY: f64 = 100.0;

/// Result of the search for a dependence among rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchingFound {
    /// True if rows of several requests may be run at once.
    pub batchable: bool,
    /// Reason, for people.
    pub reason: String,
}

impl BatchingFound {
    fn no(reason: impl Into<String>) -> Self {
        Self { batchable: false, reason: reason.into() }
    }
}

/// Prior knowledge of the search.
#[derive(Clone, Copy, Debug)]
pub struct BatchingHints<'h> {
    /// Dependence that the graph states.
    pub dependence: &'h RowDependence,
    /// Time of a run of one row, in microseconds.
    pub run_us: u64,
    /// Time limit of the whole search.
    pub allowance: Duration,
    /// Outputs that are the same for all rows, as far as is known.
    pub constants: &'h Constants,
}

/// Determines whether several rows at once give the same outputs as each alone. `inputs` are inputs that run.
///
/// Blocks for the duration of the runs. Not batchable if too little is known.
pub fn find_batching(
    instance: &mut Instance,
    contract: &Contract,
    inputs: &[(String, Tensor)],
    hints: BatchingHints<'_>,
) -> BatchingFound {
    let BatchingHints { dependence, run_us, allowance, .. } = hints;
    match dependence {
        RowDependence::Independent => {}
        RowDependence::Coupled { .. } => return BatchingFound::no(dependence.to_string()),
        // Trying rows reveals a dependence only if these values show it.
        RowDependence::Unknown { .. } => {
            return BatchingFound::no(format!("{dependence}, so rows may influence each other"));
        }
    }
    let bases = bases(instance.signature(), contract, inputs);
    let Some(first) = bases.first() else {
        return BatchingFound::no("its inputs do not all count rows in their outermost dimension");
    };
    let count = match row_count(first, hints) {
        Ok(count) => count,
        Err(reason) => return BatchingFound::no(reason),
    };
    let Ok(options) = RunOptions::new() else { return BatchingFound::no("no run could be started") };
    let ends = Instant::now() + allowance;
    let soft_end =
        ends.min(Instant::now() + 2 * SOFT_BUDGET.max(Duration::from_micros(run_us.saturating_mul(2))));
    let mut judge = Judge { instance, options: &options, contract, constants: hints.constants };
    let rows = pool::candidates(contract, &bases, count);
    let pool = Pool::of(rows, count, ends, |row| judge.run(row));
    for (index, batch) in pool.batches().into_iter().enumerate() {
        // Two rows are compared in any case.
        if index > 0 && Instant::now() > soft_end {
            break;
        }
        if let Err(difference) = judge.judge(&pool, &batch) {
            return BatchingFound::no(format!(
                "rows run together gave other results than alone, though the graph seems to keep rows apart: \
                 {difference}"
            ));
        }
    }
    if pool.is_empty() {
        return BatchingFound::no("no row could be run alone");
    }
    let reason = if pool.len() < 2 {
        format!("rows are independent: {dependence}; no two different rows are known that it takes")
    } else {
        format!("rows are independent: {dependence}")
    };
    BatchingFound { batchable: true, reason }
}

/// Lists the inputs whose values neither contract nor graph describes, with their element types.
pub(super) fn guessed(contract: &Contract, row: &Inputs) -> Vec<(String, ElementType)> {
    let known = Known::of(contract, row);
    let is_guess = |name: &str, tensor: &Tensor| {
        let element_type = tensor.data().element_type();
        (0..tensor.data().len()).any(|index| known.is_guess(name, index, element_type))
    };
    let of_input = |(name, tensor): &(String, Tensor)| {
        is_guess(name, tensor).then(|| (name.clone(), tensor.data().element_type()))
    };
    row.iter().filter_map(of_input).collect()
}

/// Rows known to run: those of the golden cases, else synthetic ones. Empty if the model does not take rows.
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
        // Rows of other sizes, as of texts and sounds, cannot be joined with the first one.
        let fits = rows.first().is_none_or(|first| joined(&[first.clone(), row.clone()]).is_some());
        if fits && row.len() == signature.inputs.len() && !rows.contains(&row) && rows.len() < ROWS {
            rows.push(row);
        }
    }
    rows
}

/// Computes the number of rows to compare.
///
/// # Errors
///
/// The reason why none can be compared.
fn row_count(base: &Inputs, hints: BatchingHints<'_>) -> Result<usize, String> {
    let BatchingHints { run_us, allowance, .. } = hints;
    let elements: usize = base.iter().map(|(_, tensor)| tensor.data().len()).sum();
    let fit = MAX_ELEMENTS / elements.max(1);
    if fit < 2 {
        return Err("its rows are too large to run two at once".to_owned());
    }
    let in_time = usize::try_from(SOFT_BUDGET.as_micros() / u128::from(run_us.max(1))).unwrap_or(ROWS);
    // The limit for a pair differs, because batches gain most where runs are long.
    if Duration::from_micros(run_us.saturating_mul(4)) > 2 * allowance {
        return Err(format!("a run takes {} ms: too long to try two rows alone and together", run_us / 1000));
    }
    Ok(ROWS.min(in_time).min(fit).max(2))
}

struct Judge<'i> {
    instance: &'i mut Instance,
    options: &'i RunOptions,
    contract: &'i Contract,
    constants: &'i Constants,
}

impl Judge<'_> {
    /// Compares the outputs of rows run at once with those of each row alone.
    fn judge(&mut self, pool: &Pool, batch: &[usize]) -> Result<(), String> {
        let rows: Vec<&pool::Row> = batch.iter().map(|index| pool.row(*index)).collect();
        let inputs: Vec<Inputs> = rows.iter().map(|row| row.inputs.clone()).collect();
        let inputs = joined(&inputs).ok_or("they cannot be batched")?;
        // Rows that run alone but not together must not share a batch.
        let together = self.run(&inputs).ok_or("run together, they fail")?;
        for (index, row) in rows.iter().enumerate() {
            // Far rows only have to leave the others unchanged.
            if row.is_far {
                continue;
            }
            for (output, (all, one)) in together.iter().zip(&row.alone).enumerate() {
                let difference = if self.constants.contains(output) {
                    self.contract.difference(all, one)
                } else {
                    self.difference(all, one, (index, rows.len()), row)
                };
                if let Some(difference) = difference {
                    let name = self.instance.signature().outputs.get(output).map_or("", |spec| &spec.name);
                    return Err(format!("output `{name}`, row {index} of {}: {difference}", rows.len()));
                }
            }
        }
        Ok(())
    }

    fn difference(
        &self,
        all: &Value,
        one: &Value,
        (index, rows): (usize, usize),
        row: &pool::Row,
    ) -> Option<String> {
        if !all.holds_rows(rows) || !one.holds_rows(1) {
            return Some("it does not have one part for each row".to_owned());
        }
        let Some(part) = all.rows(index..index + 1) else { return Some("it has no such row".to_owned()) };
        self.tolerance(row).difference(&part, one)
    }

    /// Derives the tolerance for a row, in the form of a contract.
    fn tolerance(&self, row: &pool::Row) -> Contract {
        let mut tolerance = Contract::empty();
        let rounding = if row.greatest > ORDINARY { ROUNDING * row.greatest } else { 0.0 };
        let absolute = self.contract.tolerance.min(MOST_TOLERANCE);
        tolerance.tolerance = absolute + rounding;
        tolerance.relative_tolerance = ROUNDING;
        tolerance
    }

    fn run(&mut self, inputs: &Inputs) -> Option<Vec<Value>> {
        run(self.instance, inputs, self.options).ok()
    }
}
