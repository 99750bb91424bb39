//! Finding out how the outputs of a model go with the rows that it is given.
//!
//! Declared shapes do not say so, or are guesses of an exporter. So a model is run on several numbers of rows, alike and
//! unlike: what follows their number in its outermost dimension, and in no other, is by row.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{
    run,
    shapes::Shapes,
    varied::{Inputs, Varied, split},
};
use crate::{
    model::{
        Contract, Dimension, ElementType, Graph, OutputForm, OutputForms, Signature, Tensor, Value, ValueSpec,
    },
    runtime::{Instance, RunOptions},
};

/// Numbers of rows that are tried.
const ROWS: [usize; 4] = [1, 2, 3, 5];

/// No further run begins after this long.
const BUDGET: Duration = Duration::from_secs(1);

/// Larger values that are the same for all rows would be repeated beside each of them: they are answered to tensors only.
const MAX_CONSTANT_ELEMENTS: usize = 4096;

/// What was found out about the outputs of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundOutputs {
    /// How they go with rows.
    pub forms: OutputForms,
    /// What the model takes and gives, with the shapes that outputs were seen to have.
    pub signature: Signature,
}

/// Runs a model on several numbers of rows, made of `inputs`, which are some that run.
///
/// Blocks for as long as the runs take. Where the inputs do not count rows, nothing is found out.
pub fn find_outputs(
    instance: &mut Instance,
    contract: &Contract,
    inputs: &[(String, Tensor)],
    graph: Option<&Graph>,
) -> FoundOutputs {
    let signature = instance.signature().clone();
    let mut seen: Vec<Seen> = signature.outputs.iter().map(|_| Seen::default()).collect();
    if counts_rows(&signature)
        && let Ok(options) = RunOptions::new()
    {
        let begin = Instant::now();
        for batch in batches(contract, inputs) {
            if begin.elapsed() > BUDGET {
                break;
            }
            // What a model does not take is no fault: others will be refused in the same way.
            let Ok(outputs) = run(instance, &batch.inputs, &options) else { continue };
            for (seen, output) in seen.iter_mut().zip(outputs) {
                seen.see(&batch, output);
            }
        }
    }
    let dependent = graph.and_then(Graph::dependent_values);
    let named = || signature.outputs.iter().zip(&seen);
    let was_run = seen.iter().all(|seen| !seen.rows.is_empty());
    let forms =
        named().filter(|_| was_run).map(|(spec, seen)| seen.form(spec, &signature, dependent.as_ref()));
    let forms = OutputForms::new(forms.collect());
    let outputs = named().map(|(spec, seen)| seen.shapes.found(spec, &signature)).collect();
    FoundOutputs { forms, signature: Signature { inputs: signature.inputs.clone(), outputs } }
}

/// Whether every input that must be given has a place for any number of rows, the outermost dimension.
fn counts_rows(signature: &Signature) -> bool {
    let has_place = |spec: &ValueSpec| {
        spec.as_tensor().is_some_and(|(_, shape)| matches!(shape.first(), Some(Dimension::Dynamic(_))))
    };
    let mut required = signature.inputs.iter().filter(|spec| !spec.is_optional()).peekable();
    required.peek().is_some() && required.all(has_place)
}

/// Rows that are tried at once.
struct Batch {
    rows: usize,
    are_alike: bool,
    inputs: Inputs,
}

/// Few rows first: where runs take long, these are all. Each is made when its turn comes, as they may be large.
fn batches<'i>(
    contract: &'i Contract,
    inputs: &'i [(String, Tensor)],
) -> impl Iterator<Item = Batch> + use<'i> {
    let bases = split(inputs).unwrap_or_default();
    let are_texts = |(_, tensor): &(String, Tensor)| tensor.data().element_type() == ElementType::String;
    // Made-up texts may be more than the model takes, so it is tried without other ones, too.
    let vary_texts = inputs.iter().any(are_texts) && contract.golden.is_empty();
    let (mut varied, mut with_texts) = (Varied::new(contract, false), Varied::new(contract, true));
    let makes = [Make::Repeated, Make::Unlike, Make::UnlikeWithTexts];
    ROWS.into_iter().flat_map(move |rows| makes.map(|make| (rows, make))).filter_map(move |(rows, make)| {
        let inputs = match make {
            Make::Repeated => repeated(inputs, rows),
            Make::Unlike if rows > 1 => varied.rows(&bases, rows),
            Make::UnlikeWithTexts if rows > 1 && vary_texts => with_texts.rows(&bases, rows),
            Make::Unlike | Make::UnlikeWithTexts => None,
        };
        Some(Batch { rows, are_alike: make == Make::Repeated, inputs: inputs? })
    })
}

/// How rows are made of those that run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Make {
    Repeated,
    Unlike,
    UnlikeWithTexts,
}

fn repeated(inputs: &[(String, Tensor)], rows: usize) -> Option<Inputs> {
    let repeat = |(name, tensor): &(String, Tensor)| Some((name.clone(), tensor.first_row_repeated(rows)?));
    inputs.iter().map(repeat).collect()
}

/// What was seen of one output.
#[derive(Debug, Default)]
struct Seen {
    /// The numbers of rows that were run.
    rows: HashSet<usize>,
    /// Whether it did not have one part for each row once.
    is_not_by_row: bool,
    /// Shapes without the outermost dimension, in the runs of rows that are alike.
    inner: Option<Vec<Vec<usize>>>,
    /// Whether any rows differed.
    rows_differed: bool,
    /// What it was, as long as it stays that.
    value: Option<Value>,
    has_changed: bool,
    shapes: Shapes,
}

impl Seen {
    fn see(&mut self, batch: &Batch, output: Value) {
        self.rows.insert(batch.rows);
        self.rows_differed |= !batch.are_alike;
        self.is_not_by_row |= !output.holds_rows(batch.rows);
        if batch.are_alike {
            let inner = inner_shapes(&output);
            self.is_not_by_row |= self.inner.as_ref().is_some_and(|before| *before != inner);
            self.inner = Some(inner);
        }
        self.shapes.see(batch.rows, !batch.are_alike, &output);
        self.has_changed |= self.value.as_ref().is_some_and(|before| !is_same(before, &output));
        if self.has_changed {
            self.value = None;
        } else if self.value.is_none() {
            self.value = Some(output);
        }
    }

    fn form(&self, spec: &ValueSpec, signature: &Signature, dependent: Option<&HashSet<&str>>) -> OutputForm {
        let has_several = self.rows.len() > 1;
        let is_buffer = dependent.is_some_and(|names| !names.contains(spec.name.as_str()));
        // A value that follows from the rows may have stayed the same by chance.
        let may_be_buffer = dependent.is_none() || is_buffer;
        let stayed = !self.has_changed && (is_buffer || (has_several && self.rows_differed && may_be_buffer));
        let is_small = self.value.as_ref().is_some_and(|value| value.elements() <= MAX_CONSTANT_ELEMENTS);
        if stayed && self.is_not_by_row {
            return if is_small { OutputForm::Constant } else { OutputForm::Whole };
        }
        let counts = !self.is_not_by_row && (has_several || !declares_rows_within(spec, signature));
        if counts { OutputForm::ByRow } else { OutputForm::Whole }
    }
}

/// Shapes without their outermost dimension: of a tensor, or of each tensor of a sequence.
fn inner_shapes(value: &Value) -> Vec<Vec<usize>> {
    let of_tensor = |tensor: &Tensor| tensor.shape().get(1..).unwrap_or_default().to_vec();
    match value {
        Value::Tensor(tensor) => vec![of_tensor(tensor)],
        Value::Sequence(items) => items
            .iter()
            .filter_map(|item| match item {
                Value::Tensor(tensor) => Some(of_tensor(tensor)),
                _ => None,
            })
            .collect(),
        Value::Map { .. } | Value::Absent => Vec::new(),
    }
}

/// Whether two values are the same to the last bit, and NaN where the other is.
fn is_same(one: &Value, other: &Value) -> bool {
    let mut exact = Contract::empty();
    (exact.tolerance, exact.relative_tolerance) = (0.0, 0.0);
    exact.difference(other, one).is_none()
}

/// Whether the rows' own symbol stands in another dimension than the outermost, as that of states by layer does.
fn declares_rows_within(spec: &ValueSpec, signature: &Signature) -> bool {
    let outermost = |spec: &ValueSpec| {
        let (_, shape) = spec.as_tensor()?;
        shape.first()?.symbol().map(str::to_owned)
    };
    let rows: HashSet<String> = signature.inputs.iter().filter_map(outermost).collect();
    let is_rows = |dimension: &Dimension| dimension.symbol().is_some_and(|symbol| rows.contains(symbol));
    spec.as_tensor().is_some_and(|(_, shape)| {
        shape.split_first().is_some_and(|(first, inner)| !is_rows(first) && inner.iter().any(is_rows))
    })
}
