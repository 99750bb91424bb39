//! Inputs for a model of which nothing is known but its signature and contract.

use std::collections::HashSet;

use half::{bf16, f16};

use crate::{
    lifecycle::{Reason, Refusal},
    model::{
        Cell, Contract, Dimension, ElementType, Feature, Layout, Row, Signature, Tensor, TensorData,
        rows_to_tensors,
    },
};

/// What to try: the size of every dimension that may vary, and the value of every element.
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

/// In this order. Ones come first: zero is the one number that many a model may rightly not be defined for. Models of
/// images and sounds take no input smaller than what they are made to look for.
pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt { size: 1, value: Fill::Ones },
    Attempt { size: 1, value: Fill::Zeros },
    Attempt { size: 2, value: Fill::Ones },
    Attempt { size: 16, value: Fill::Ones },
    Attempt { size: 64, value: Fill::Ones },
    Attempt { size: 224, value: Fill::Ones },
];

/// Larger inputs are not made up.
const MAX_ELEMENTS: usize = 1 << 24;

/// Nor are more values or texts than this, each of which takes far more memory than a number: the proof may have little.
const MAX_VALUES: usize = 1 << 20;

/// Inputs of so many dimensions have batches in the first one, as images have: it stays 1 while the others grow.
const RANK_WITH_BATCHES: usize = 3;

/// The inputs of this attempt, or nothing if they would be too large. Where the model takes rows, they are within the
/// contract's limits.
///
/// # Errors
///
/// When the contract allows no row.
pub(super) fn made_up(
    signature: &Signature,
    layout: Option<&Layout>,
    contract: &Contract,
    attempt: Attempt,
) -> Result<Option<Vec<(String, Tensor)>>, Refusal> {
    let Some(layout) = layout else { return Ok(tensors(signature, attempt)) };
    if layout.columns().saturating_mul(attempt.size) > MAX_VALUES {
        return Ok(None);
    }
    let cell = |column| {
        let element_type = layout.element_type(column).unwrap_or(ElementType::F32);
        cell(element_type, contract.features.get(column), attempt.value)
    };
    let row = Row::Positional((0..layout.columns()).map(cell).collect());
    let rows = vec![row; attempt.size];
    rows_to_tensors(&rows, layout, contract).map(Some).map_err(|violations| {
        let first = violations.listed.into_iter().next();
        let detail = first.map(|violation| violation.message).unwrap_or_default();
        Refusal::new(Reason::InvalidContract, format!("it allows no row: {detail}"))
    })
}

/// A value that the contract allows, near the one that is wanted.
fn cell(element_type: ElementType, feature: Option<&Feature>, value: Fill) -> Cell {
    let wanted = if value == Fill::Ones { 1.0_f64 } else { 0.0 };
    let minimum = feature.and_then(|feature| feature.minimum).unwrap_or(f64::NEG_INFINITY);
    let maximum = feature.and_then(|feature| feature.maximum).unwrap_or(f64::INFINITY);
    let number = wanted.max(minimum).min(maximum);
    match element_type {
        ElementType::String => Cell::Text(text(value)),
        ElementType::Bool => Cell::Bool(value == Fill::Ones),
        float if float.is_float() => Cell::Float(number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a bound beyond every integer is beyond the model too"
        )]
        _ => Cell::Integer(number.ceil() as i128),
    }
}

fn text(value: Fill) -> String {
    if value == Fill::Ones { "1".to_owned() } else { String::new() }
}

/// Every input that must be given, by its declared shape.
fn tensors(signature: &Signature, attempt: Attempt) -> Option<Vec<(String, Tensor)>> {
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
        let tensor = Tensor::new(shape, data(element_type, count, attempt.value)).ok()?;
        inputs.push((spec.name.clone(), tensor));
    }
    Some(inputs)
}

fn data(element_type: ElementType, count: usize, value: Fill) -> TensorData {
    macro_rules! fill {
        ($variant:ident, $zero:expr, $one:expr) => {
            TensorData::$variant(vec![if value == Fill::Ones { $one } else { $zero }; count].into())
        };
    }
    match element_type {
        ElementType::F16 => fill!(F16, f16::ZERO, f16::ONE),
        ElementType::Bf16 => fill!(Bf16, bf16::ZERO, bf16::ONE),
        ElementType::F32 => fill!(F32, 0.0, 1.0),
        ElementType::F64 => fill!(F64, 0.0, 1.0),
        ElementType::I8 => fill!(I8, 0, 1),
        ElementType::I16 => fill!(I16, 0, 1),
        ElementType::I32 => fill!(I32, 0, 1),
        ElementType::I64 => fill!(I64, 0, 1),
        ElementType::U8 => fill!(U8, 0, 1),
        ElementType::U16 => fill!(U16, 0, 1),
        ElementType::U32 => fill!(U32, 0, 1),
        ElementType::U64 => fill!(U64, 0, 1),
        ElementType::Bool => fill!(Bool, false, true),
        ElementType::String => TensorData::String(vec![text(value); count]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ValueSpec;

    fn shapes(signature: &Signature, attempt: Attempt) -> Option<Vec<Vec<usize>>> {
        let inputs = made_up(signature, None, &Contract::empty(), attempt).unwrap()?;
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
        let inputs = made_up(&signature, layout.as_ref(), &contract, ATTEMPTS[2]).unwrap().unwrap();
        let expected = Tensor::new(vec![2, 1], TensorData::F32(vec![5.0; 2].into())).unwrap();
        assert_eq!(inputs, [("x".to_owned(), expected)]);
    }
}
