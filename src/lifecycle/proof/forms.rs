//! Relation of a model's outputs to the rows of its inputs.
//!
//! Declared shapes do not say it, or are guesses of an exporter. A model is therefore run on several numbers of rows,
//! alike and unlike. An output is by row if its outermost dimension, and no other, follows their number.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{
    Inputs,
    row_sampler::{RowSampler, split},
    run,
    shapes::Shapes,
};
use crate::{
    model::{
        Contract, Dimension, ElementType, Graph, OutputForm, OutputForms, Signature, Tensor, Value, ValueSpec,
    },
    runtime::{Instance, RunOptions},
};

/// Numbers of rows that are tried.
const ROWS: [usize; 4] = [1, 2, 3, 5];

/// Time after which no further run starts.
const BUDGET: Duration = Duration::from_secs(1);

/// Time after which no further run on one or two rows starts. Without these runs, little can be determined.
const LEAST_BUDGET: Duration = Duration::from_secs(5);

/// Constants are repeated beside each row of a response. Larger ones are returned for tensor inputs only.
const MAX_CONSTANT_ELEMENTS: usize = 4096;

/// Facts about the outputs of a model that runs show.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundOutputs {
    /// Forms of the outputs.
    pub forms: OutputForms,
    /// The signature with the observed shapes of the outputs.
    pub signature: Signature,
}

/// Runs a model on several numbers of rows, made from `inputs`, which are known to run.
///
/// Blocks for the duration of the runs. No output is found by row unless the inputs count rows.
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
        for batch in batches(&signature, contract, inputs) {
            if begin.elapsed() > if batch.rows <= 2 { LEAST_BUDGET } else { BUDGET } {
                break;
            }
            // A failed run is not a fault of the model: requests like it will fail in the same way.
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

/// Returns true if the outermost dimension of an input is dynamic, so that it can hold any number of rows.
fn has_place(spec: &ValueSpec) -> bool {
    spec.as_tensor().is_some_and(|(_, shape)| matches!(shape.first(), Some(Dimension::Dynamic(_))))
}

/// Returns true if every required input can hold any number of rows.
fn counts_rows(signature: &Signature) -> bool {
    let mut required = signature.inputs.iter().filter(|spec| !spec.is_optional()).peekable();
    required.peek().is_some() && required.all(has_place)
}

/// Rows that are run at once.
struct Batch {
    rows: usize,
    are_alike: bool,
    inputs: Inputs,
}

/// Makes batches, smallest first, because time may run out. Each is made only when its turn comes, as it may be large.
fn batches<'i>(
    signature: &'i Signature,
    contract: &'i Contract,
    inputs: &'i [(String, Tensor)],
) -> impl Iterator<Item = Batch> + use<'i> {
    let bases = split(inputs).unwrap_or_default();
    let are_texts = |(_, tensor): &(String, Tensor)| tensor.data().element_type() == ElementType::String;
    // The model may not accept synthetic texts, so batches without them are tried as well.
    let vary_texts = inputs.iter().any(are_texts) && contract.golden.is_empty();
    let (mut varied, mut with_texts) = (RowSampler::new(contract, false), RowSampler::new(contract, true));
    let makes = [Make::Repeated, Make::Unlike, Make::UnlikeWithTexts];
    ROWS.into_iter().flat_map(move |rows| makes.map(|make| (rows, make))).filter_map(move |(rows, make)| {
        let inputs = match make {
            Make::Repeated => repeated(signature, inputs, rows),
            Make::Unlike if rows > 1 => varied.rows(&bases, rows),
            Make::UnlikeWithTexts if rows > 1 && vary_texts => with_texts.rows(&bases, rows),
            Make::Unlike | Make::UnlikeWithTexts => None,
        };
        Some(Batch { rows, are_alike: make == Make::Repeated, inputs: inputs? })
    })
}

/// Methods of making rows from those that run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Make {
    Repeated,
    Unlike,
    UnlikeWithTexts,
}

/// Repeats the first row of each input that can hold any number of rows; other inputs stay as they are.
fn repeated(signature: &Signature, inputs: &[(String, Tensor)], rows: usize) -> Option<Inputs> {
    let repeat = |(name, tensor): &(String, Tensor)| {
        let counts = signature.input(name).is_some_and(has_place);
        let tensor = if counts { tensor.first_row_repeated(rows)? } else { tensor.clone() };
        Some((name.clone(), tensor))
    };
    inputs.iter().map(repeat).collect()
}

/// Observations of one output over several runs.
#[derive(Debug, Default)]
struct Seen {
    /// The numbers of rows that were run.
    rows: HashSet<usize>,
    /// True if the output did not have one part for each row in a run.
    is_not_by_row: bool,
    /// Shapes without the outermost dimension, in the runs of rows that are alike.
    inner: Option<Vec<Vec<usize>>>,
    /// The value. `None` once it has changed.
    value: Option<Value>,
    has_changed: bool,
    shapes: Shapes,
}

impl Seen {
    fn see(&mut self, batch: &Batch, output: Value) {
        self.rows.insert(batch.rows);
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
        // A value that depends on the rows may stay the same by chance. Only the graph can exclude the dependence.
        let stayed = !self.has_changed && is_buffer;
        let is_small = self.value.as_ref().is_some_and(|value| value.elements() <= MAX_CONSTANT_ELEMENTS);
        if stayed && self.is_not_by_row {
            return if is_small { OutputForm::Constant } else { OutputForm::Whole };
        }
        let counts = !self.is_not_by_row && (has_several || !declares_rows_within(spec, signature));
        if counts { OutputForm::ByRow } else { OutputForm::Whole }
    }
}

/// Lists shapes without their outermost dimension: of a tensor, or of each tensor of a sequence.
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

/// Returns true if two values are the same bit by bit, with NaN in the same places.
fn is_same(one: &Value, other: &Value) -> bool {
    let mut exact = Contract::empty();
    (exact.tolerance, exact.relative_tolerance) = (0.0, 0.0);
    exact.difference(other, one).is_none()
}

/// Returns true if the symbol of the rows appears in an inner dimension, as for states by layer.
fn declares_rows_within(spec: &ValueSpec, signature: &Signature) -> bool {
    let outermost = |spec: &ValueSpec| {
        let (_, shape) = spec.as_tensor()?;
        shape.first()?.symbol().map(str::to_owned)
    };
    let rows: HashSet<String> = signature.inputs.iter().filter_map(outermost).collect();
    let is_rows = |dimension: &Dimension| dimension.symbol().is_some_and(|symbol| rows.contains(symbol));
    spec.as_tensor().is_some_and(|(_, shape)| shape.get(1..).is_some_and(|inner| inner.iter().any(is_rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, TensorData};

    fn dynamic(symbol: &str) -> Dimension {
        Dimension::Dynamic(symbol.to_owned())
    }

    fn value(shape: &[usize], element: f32) -> Value {
        let count = shape.iter().product();
        Tensor::new(shape.to_vec(), TensorData::F32(vec![element; count].into())).unwrap().into()
    }

    /// Determines the form of an output from its values, for these numbers of rows, alike or unlike.
    fn form(
        declared: Vec<Dimension>,
        runs: Vec<(usize, bool, Value)>,
        dependent: Option<&HashSet<&str>>,
    ) -> OutputForm {
        let mut seen = Seen::default();
        for (rows, are_alike, output) in runs {
            seen.see(&Batch { rows, are_alike, inputs: Vec::new() }, output);
        }
        let inputs = vec![ValueSpec::tensor("x", ElementType::F32, vec![dynamic("N"), Dimension::Fixed(4)])];
        let signature = Signature { inputs, outputs: Vec::new() };
        seen.form(&ValueSpec::tensor("y", ElementType::F32, declared), &signature, dependent)
    }

    /// Runs on one, two and two unlike rows, with an output of these shapes and elements.
    fn runs(outputs: [(&[usize], f32); 3]) -> Vec<(usize, bool, Value)> {
        let how = [(1, true), (2, true), (2, false)];
        let run = |((rows, are_alike), (shape, element))| (rows, are_alike, value(shape, element));
        how.into_iter().zip(outputs).map(run).collect()
    }

    #[test]
    fn an_output_is_by_row_if_only_its_outermost_dimension_follows_the_rows() {
        use OutputForm::{ByRow, Constant, Whole};
        for (outputs, expected) in [
            ([(&[1, 3][..], 0.5), (&[2, 3], 0.5), (&[2, 3], 0.5)], ByRow),
            ([(&[1], 0.5), (&[2], 0.5), (&[2], 0.25)], ByRow),
            ([(&[1, 3], 0.5), (&[2, 3], 0.5), (&[2, 9], 0.5)], ByRow),
            ([(&[1, 1], 0.5), (&[2, 2], 0.5), (&[2, 2], 0.5)], Whole),
            ([(&[1, 3], 0.5), (&[2, 3], 0.5), (&[1, 3], 0.5)], Whole),
            ([(&[2, 1], 0.5), (&[2, 2], 0.5), (&[2, 2], 0.5)], Whole),
            ([(&[], 0.5), (&[], 1.0), (&[], 0.75)], Whole),
            ([(&[3], 0.5), (&[3], 0.5), (&[3], 0.5)], Constant),
            ([(&[2], f32::NAN), (&[2], f32::NAN), (&[2], f32::NAN)], Constant),
            ([(&[4097], 0.5), (&[4097], 0.5), (&[4097], 0.5)], Whole),
        ] {
            // According to the graph, `y` depends on no input.
            let independent = HashSet::new();
            assert_eq!(form(Vec::new(), runs(outputs), Some(&independent)), expected, "{outputs:?}");
            let unsaid = if expected == Constant { Whole } else { expected };
            assert_eq!(form(Vec::new(), runs(outputs), None), unsaid, "{outputs:?}, of an unknown graph");
        }
    }

    #[test]
    fn what_follows_from_the_rows_is_no_constant_even_if_it_stayed_the_same() {
        let same = || runs([(&[], 1.0), (&[], 1.0), (&[], 1.0)]);
        assert_eq!(form(Vec::new(), same(), Some(&HashSet::from(["y"]))), OutputForm::Whole);
        assert_eq!(form(Vec::new(), same(), Some(&HashSet::new())), OutputForm::Constant);
        let alike = || vec![(1, true, value(&[3], 1.0)), (2, true, value(&[3], 1.0))];
        assert_eq!(form(Vec::new(), alike(), None), OutputForm::Whole, "no rows that differ");
    }

    #[test]
    fn where_one_row_alone_runs_the_declaration_decides() {
        let one = |shape: &[usize]| vec![(1, true, value(shape, 1.0))];
        let fixed = Dimension::Fixed(1);
        assert_eq!(form(vec![fixed.clone()], one(&[1, 4]), None), OutputForm::ByRow);
        assert_eq!(form(vec![dynamic("N"), dynamic("N")], one(&[1, 1]), None), OutputForm::Whole);
        assert_eq!(form(vec![dynamic("N"), Dimension::Fixed(4)], one(&[1, 4]), None), OutputForm::ByRow);
        assert_eq!(form(vec![fixed, dynamic("N")], one(&[1, 1]), None), OutputForm::Whole);
        assert_eq!(form(Vec::new(), one(&[2, 1]), None), OutputForm::Whole);
    }
}
