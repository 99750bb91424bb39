//! Rows with the outputs of each alone, and the batches formed from them.

use std::time::Instant;

use super::super::{
    Inputs,
    row_sampler::{Draw, RowSampler},
};
use crate::model::{Contract, Value};

/// Magnitudes of far values. Many models cannot tell the last one from zero.
const FAR: [f64; 4] = [1e3, 1e6, 40.0, 1e-6];

/// Rows at the edges of the known ranges.
const EDGES: usize = 6;

/// Rows of a batch that includes a far one.
const WITH_FAR: usize = 8;

/// A row that runs, with its outputs alone.
pub(super) struct Row {
    pub(super) inputs: Inputs,
    pub(super) alone: Vec<Value>,
    pub(super) is_far: bool,
    /// Largest absolute value among its numbers.
    pub(super) greatest: f64,
}

/// A row to try.
pub(super) struct Candidate {
    inputs: Inputs,
    is_far: bool,
}

/// Rows with the outputs of each alone.
pub(super) struct Pool {
    rows: Vec<Row>,
}

/// Makes rows to try: known ones, and rows drawn nearby, at the edges and far away. A few more than `count`, as some
/// may not run.
pub(super) fn candidates(contract: &Contract, bases: &[Inputs], count: usize) -> Vec<Candidate> {
    let are_made_up = contract.golden.is_empty();
    let (mut varied, mut with_texts) =
        (RowSampler::new(contract, false), RowSampler::new(contract, are_made_up));
    let base = |index: usize| bases.get(index % bases.len().max(1));
    // If only few rows can be run, they are ordinary ones: no edges, no far values.
    let is_small = count < WITH_FAR;
    let extremes = if is_small { 0 } else { EDGES + FAR.len() };
    let ordinary = count.saturating_sub(extremes).max(2);
    let mut rows: Vec<Candidate> = Vec::new();
    let mut add = |inputs: Option<Inputs>, is_far: bool| {
        rows.extend(inputs.map(|inputs| Candidate { inputs, is_far }));
    };
    for known in bases.iter().take(ordinary) {
        add(Some(known.clone()), false);
    }
    for index in bases.len()..ordinary + 2 {
        let Some(base) = base(index) else { break };
        // The model may not accept synthetic texts.
        let source = if index % 2 == 0 { &mut varied } else { &mut with_texts };
        add(source.row(base, bases, Draw::Near), false);
    }
    if !is_small {
        for (index, base) in (0..EDGES).filter_map(|index| Some((index, base(index)?))) {
            let source = if index % 2 == 0 { &mut varied } else { &mut with_texts };
            add(source.row(base, bases, Draw::Edges), false);
        }
        for (index, size) in FAR.into_iter().enumerate() {
            add(base(index).and_then(|base| varied.row(base, bases, Draw::Far(size))), true);
        }
    }
    rows
}

impl Pool {
    /// Runs each row alone, and drops rows that fail.
    pub(super) fn of(
        candidates: Vec<Candidate>,
        count: usize,
        ends: Instant,
        mut run: impl FnMut(&Inputs) -> Option<Vec<Value>>,
    ) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for Candidate { inputs, is_far } in candidates {
            if rows.len() >= count || (rows.len() >= 2 && Instant::now() > ends) {
                break;
            }
            if rows.iter().any(|row| row.inputs == inputs) {
                continue;
            }
            if let Some(alone) = run(&inputs) {
                let greatest = greatest(&inputs);
                rows.push(Row { inputs, alone, is_far, greatest });
            }
        }
        Self { rows }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn row(&self, index: usize) -> &Row {
        &self.rows[index]
    }

    /// Batches of row positions: few rows first, then many, in several orders, repeated, and beside a far one.
    pub(super) fn batches(&self) -> Vec<Vec<usize>> {
        let places = |is_far: bool| -> Vec<usize> {
            let rows = self.rows.iter().enumerate().filter(|(_, row)| row.is_far == is_far);
            rows.map(|(index, _)| index).collect()
        };
        let (ordinary, far) = (places(false), places(true));
        let Some((&first, others)) = ordinary.split_first() else { return Vec::new() };
        let second = others.first().copied().unwrap_or(first);
        let mut batches = vec![vec![first, second]];
        if ordinary.len() > 2 {
            batches.push(ordinary.iter().copied().take(3).collect());
            batches.push(ordinary.clone());
            batches.push(ordinary.iter().rev().copied().collect());
            batches.push(vec![first, first, second, first]);
        }
        for (turn, far) in far.iter().enumerate() {
            batches.push(vec![*far, first]);
            let mut beside: Vec<usize> = ordinary.iter().copied().take(WITH_FAR - 1).collect();
            beside.insert((turn * 3).min(beside.len()), *far);
            batches.push(beside);
        }
        if ordinary.len() > 2 && !far.is_empty() {
            batches.push((0..self.rows.len()).collect());
        }
        batches
    }
}

/// Computes the largest absolute value of a row.
fn greatest(inputs: &Inputs) -> f64 {
    let of_input = |(_, tensor): &(String, crate::model::Tensor)| {
        let elements = (0..tensor.data().len()).filter_map(|index| tensor.data().get(index)?.as_float());
        elements.map(f64::abs).filter(|number| number.is_finite()).fold(0.0, f64::max)
    };
    inputs.iter().map(of_input).fold(0.0, f64::max)
}
