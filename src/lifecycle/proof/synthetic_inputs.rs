//! Synthetic inputs for a model, derived from its signature and contract alone.

use std::collections::HashSet;

use half::{bf16, f16};

use super::known::Known;
use crate::{
    lifecycle::{Reason, Refusal},
    model::{
        Cell, Contract, Dimension, ElementType, Layout, Row, RowInputs, Signature, Tensor, TensorData,
        element_types, rows_to_tensors,
    },
};

/// One attempt: the size of every dynamic dimension, and the value of every element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    size: usize,
    value: Fill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Zeros,
    Ones,
}

/// The attempts, in order. Ones come first, because many models are rightly undefined for zero. Models of images and
/// sounds reject inputs smaller than the features they detect.
pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt { size: 1, value: Fill::Ones },
    Attempt { size: 1, value: Fill::Zeros },
    Attempt { size: 2, value: Fill::Ones },
    Attempt { size: 16, value: Fill::Ones },
    Attempt { size: 64, value: Fill::Ones },
    Attempt { size: 224, value: Fill::Ones },
];

/// Largest number of elements in synthetic inputs.
const MAX_ELEMENTS: usize = 1 << 24;

/// Largest number of row values or texts. Each takes far more memory than a number, and a proof may have little.
const MAX_VALUES: usize = 1 << 20;

/// Rank from which the first dimension is a batch, as of images: it stays 1 while the others grow.
pub(super) const RANK_WITH_BATCHES: usize = 3;

/// Makes the inputs of an attempt. `None` if they would be too large. If the model takes rows, they are within the
/// contract's limits.
///
/// # Errors
///
/// If the contract allows no row.
pub(super) fn synthetic_inputs(
    signature: &Signature,
    layout: Option<&Layout>,
    contract: &Contract,
    attempt: Attempt,
) -> Result<Option<Vec<(String, Tensor)>>, Refusal> {
    let known = Known::of_layout(contract, layout);
    let Some(layout) = layout else { return Ok(tensors(signature, &known, attempt)) };
    if layout.columns().saturating_mul(attempt.size) > MAX_VALUES {
        return Ok(None);
    }
    let cell = |column| {
        let element_type = layout.element_type(column).unwrap_or(ElementType::F32);
        let (input, index) = match &layout.inputs {
            RowInputs::Matrix { input, .. } => (input.as_str(), column),
            RowInputs::Columns(columns) => (columns.get(column).map_or("", |column| &column.input), 0),
        };
        cell(element_type, &known, input, index, attempt.value)
    };
    let row = Row::Positional((0..layout.columns()).map(cell).collect());
    let rows = vec![row; attempt.size];
    rows_to_tensors(&rows, layout, contract).map(Some).map_err(|violations| {
        let first = violations.listed.into_iter().next();
        let detail = first.map(|violation| violation.message).unwrap_or_default();
        Refusal::new(Reason::InvalidContract, format!("it allows no row: {detail}"))
    })
}

/// Returns a known value, else the value nearest to the wanted one that the contract allows.
fn cell(element_type: ElementType, known: &Known<'_>, input: &str, index: usize, value: Fill) -> Cell {
    match element_type {
        ElementType::String => Cell::Text(text(known, input, index, value)),
        ElementType::Bool => Cell::Bool(value == Fill::Ones),
        float if float.is_float() => Cell::Float(number(known, input, index, value)),
        _ => Cell::Integer(integer(known, input, index, value)),
    }
}

/// Returns the place of the first category for ones, and of the last for zeros.
fn place(value: Fill) -> f64 {
    f64::from(u8::from(value == Fill::Zeros))
}

fn number(known: &Known<'_>, input: &str, index: usize, value: Fill) -> f64 {
    let wanted = if value == Fill::Ones { 1.0_f64 } else { 0.0 };
    let (minimum, maximum) = known.limits(input, index);
    let near = wanted.max(minimum.unwrap_or(f64::NEG_INFINITY)).min(maximum.unwrap_or(f64::INFINITY));
    known.number(input, index, place(value)).unwrap_or(near)
}

fn integer(known: &Known<'_>, input: &str, index: usize, value: Fill) -> i128 {
    if let Some((least, most)) = known.range(input, index) {
        return i64::from(value == Fill::Ones).clamp(least, most).into();
    }
    if let Some(category) = known.integer(input, index, place(value)) {
        return category.into();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a bound beyond every integer is beyond the model too"
    )]
    let number = number(known, input, index, value).ceil() as i128;
    number
}

fn text(known: &Known<'_>, input: &str, index: usize, value: Fill) -> String {
    let synthetic_inputs = if value == Fill::Ones { "1" } else { "" };
    known.text(input, index, place(value)).unwrap_or(synthetic_inputs).to_owned()
}

/// Makes a tensor of its declared shape for every required input.
fn tensors(signature: &Signature, known: &Known<'_>, attempt: Attempt) -> Option<Vec<(String, Tensor)>> {
    let required = || signature.inputs.iter().filter(|spec| !spec.is_optional());
    let shapes = || required().filter_map(|spec| spec.as_tensor().map(|(_, shape)| shape));
    let batches: HashSet<&str> = shapes()
        .filter(|shape| shape.len() >= RANK_WITH_BATCHES)
        .filter_map(|shape| shape.first()?.symbol())
        .collect();
    let mut total = 0_usize;
    let mut inputs = Vec::new();
    for spec in required() {
        let (element_type, declared) = spec.as_tensor()?;
        let size = |(axis, dimension): (usize, &Dimension)| {
            let unnamed_batch =
                axis == 0 && declared.len() >= RANK_WITH_BATCHES && dimension.symbol().is_none();
            match dimension {
                Dimension::Fixed(size) => *size,
                _ if unnamed_batch => 1,
                _ if dimension.symbol().is_some_and(|symbol| batches.contains(symbol)) => 1,
                Dimension::Dynamic(_) => attempt.size,
            }
        };
        let shape: Vec<usize> = declared.iter().enumerate().map(size).collect();
        let count = shape.iter().copied().try_fold(1_usize, usize::checked_mul)?;
        total = total.checked_add(count).filter(|total| *total <= MAX_ELEMENTS)?;
        if element_type == ElementType::String && count > MAX_VALUES {
            return None;
        }
        let columns = shape.last().copied().filter(|_| shape.len() > 1).unwrap_or(1).max(1);
        let source = Source { known, input: &spec.name, columns, value: attempt.value };
        let tensor = Tensor::new(shape, source.data(element_type, count)).ok()?;
        inputs.push((spec.name.clone(), tensor));
    }
    Some(inputs)
}

/// Source of the elements of one input.
struct Source<'s> {
    known: &'s Known<'s>,
    input: &'s str,
    /// The size of the innermost dimension, whose elements may differ in meaning.
    columns: usize,
    value: Fill,
}

impl Source<'_> {
    fn data(&self, element_type: ElementType, count: usize) -> TensorData {
        macro_rules! fill {
            ($variant:ident, $of:expr) => {
                TensorData::$variant(self.each(count, $of).into())
            };
        }
        macro_rules! integers {
            ($variant:ident, $type:ty) => {
                fill!($variant, |index| <$type>::try_from(self.integer(index)).unwrap_or_default())
            };
        }
        macro_rules! by_type {
            ($($variant:ident $type:ty),*) => {
                match element_type {
                    ElementType::F16 => fill!(F16, |index| f16::from_f64(self.number(index))),
                    ElementType::Bf16 => fill!(Bf16, |index| bf16::from_f64(self.number(index))),
                    #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
                    ElementType::F32 => fill!(F32, |index| self.number(index) as f32),
                    ElementType::F64 => fill!(F64, |index| self.number(index)),
                    $(ElementType::$variant => integers!($variant, $type),)*
                    ElementType::Bool => TensorData::Bool(vec![self.value == Fill::Ones; count]),
                    ElementType::String => {
                        TensorData::String(self.each(count, |index| text(self.known, self.input, index, self.value)))
                    }
                }
            };
        }
        element_types!(integers => by_type)
    }

    /// Makes elements by repeating one line: knowledge is by column, the same in each line.
    fn each<T: Clone>(&self, count: usize, of: impl Fn(usize) -> T) -> Vec<T> {
        let line: Vec<T> = (0..self.columns.min(count)).map(of).collect();
        line.iter().cycle().take(count).cloned().collect()
    }

    fn number(&self, index: usize) -> f64 {
        number(self.known, self.input, index, self.value)
    }

    fn integer(&self, index: usize) -> i128 {
        integer(self.known, self.input, index, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Feature, ValueSpec};

    fn shapes(signature: &Signature, attempt: Attempt) -> Option<Vec<Vec<usize>>> {
        let inputs = synthetic_inputs(signature, None, &Contract::empty(), attempt).unwrap()?;
        Some(inputs.into_iter().map(|(_, tensor)| tensor.shape().to_vec()).collect())
    }

    #[test]
    fn a_symbol_has_one_size_and_batches_stay_small() {
        let named = |symbol: &str| Dimension::Dynamic(symbol.to_owned());
        let image = vec![named("N"), Dimension::Fixed(3), named(""), named("")];
        let signature = Signature {
            inputs: vec![
                ValueSpec::tensor("image", ElementType::F32, image),
                ValueSpec::tensor("size", ElementType::I64, vec![named("N"), named("M")]),
                ValueSpec::tensor("rate", ElementType::I64, Vec::new()),
            ],
            outputs: Vec::new(),
        };
        let expected = vec![vec![1, 3, 224, 224], vec![1, 224], vec![]];
        assert_eq!(shapes(&signature, ATTEMPTS[5]), Some(expected));
    }

    #[test]
    fn what_is_too_large_is_not_made_up() {
        let cube = vec![Dimension::Dynamic(String::new()); 5];
        let signature =
            Signature { inputs: vec![ValueSpec::tensor("x", ElementType::F32, cube)], outputs: Vec::new() };
        assert!(shapes(&signature, ATTEMPTS[0]).is_some());
        assert!(shapes(&signature, ATTEMPTS[5]).is_none());
    }

    #[test]
    fn values_are_within_the_limits_of_the_contract() {
        let shape = vec![Dimension::Dynamic(String::new()), Dimension::Fixed(1)];
        let signature =
            Signature { inputs: vec![ValueSpec::tensor("x", ElementType::F32, shape)], outputs: Vec::new() };
        let feature = Feature { minimum: Some(5.0), ..Feature::new("a") };
        let contract = Contract::new(vec![feature], Vec::new());
        let layout = Layout::of(&signature, &contract).unwrap();
        let inputs = synthetic_inputs(&signature, layout.as_ref(), &contract, ATTEMPTS[2]).unwrap().unwrap();
        let expected = Tensor::new(vec![2, 1], TensorData::F32(vec![5.0; 2].into())).unwrap();
        assert_eq!(inputs, [("x".to_owned(), expected)]);
    }
}
