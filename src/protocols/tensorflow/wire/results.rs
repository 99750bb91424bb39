//! The response to examples: classes with their scores, or a number.

use crate::model::{Contract, Layout, Output, RowOutputs, RowValue, Scalar};

/// The error of a model whose outputs do not fit the verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model does not {0}: use `:predict`")]
pub struct NoResult(&'static str);

/// Returns the score of every class for each row: `[[["LABEL", 0.5], …], …]`.
///
/// # Errors
///
/// If the model has neither an output of probabilities nor a single output of several numbers per row.
pub fn classes<'o>(
    outputs: &'o RowOutputs,
    layout: &Layout,
    contract: &Contract,
) -> Result<Vec<Vec<(String, Scalar<'o>)>>, NoResult> {
    let row = |row| match of_role(outputs, layout, row, Output::Probabilities) {
        Some(RowValue::Elements(elements)) => Ok(by_class(elements, contract)),
        Some(RowValue::ByKey(entries)) => {
            let scored = |(key, score)| (contract.key(key).to_string(), score);
            Ok(entries.into_iter().map(scored).collect())
        }
        Some(RowValue::Parts(_) | RowValue::Whole(_)) => Err(NoResult("classify")),
        None => scores(outputs, row, contract).ok_or(NoResult("classify")),
    };
    (0..outputs.rows()).map(row).collect()
}

/// Returns the scores of a row if they are the model's only output, as of a network that ends with a softmax. A class
/// without a name gets an empty label, as in TensorFlow Serving.
fn scores<'o>(outputs: &'o RowOutputs, row: usize, contract: &Contract) -> Option<Vec<(String, Scalar<'o>)>> {
    let mut values = outputs.row(row).filter(|value| !matches!(value, RowValue::Whole(_)));
    let (Some(RowValue::Elements(scores)), None) = (values.next(), values.next()) else { return None };
    if scores.len() < 2 || !scores.iter().all(is_float) {
        return None;
    }
    Some(by_class(scores, contract))
}

/// Pairs scores with the names of their classes, or with empty texts, as TensorFlow does, if the model names none.
fn by_class<'o>(scores: Vec<Scalar<'o>>, contract: &Contract) -> Vec<(String, Scalar<'o>)> {
    let names = contract.class_names(scores.len());
    let name = |index: usize| names.as_ref().and_then(|names| names.get(index)).cloned();
    scores.into_iter().enumerate().map(|(index, score)| (name(index).unwrap_or_default(), score)).collect()
}

fn is_float(scalar: &Scalar<'_>) -> bool {
    matches!(scalar, Scalar::Single(_) | Scalar::Double(_))
}

/// Returns a number for each row: `[0.5, …]`. For a model with a label and one score beside it, such as an isolation
/// forest, the number is the score.
///
/// # Errors
///
/// If the model's prediction is not a number.
pub fn numbers<'o>(outputs: &'o RowOutputs, layout: &Layout) -> Result<Vec<Scalar<'o>>, NoResult> {
    let row = |row| match of_role(outputs, layout, row, Output::Prediction) {
        Some(RowValue::Elements(elements)) => match elements.as_slice() {
            [label] if !is_float(label) => match score_beside(outputs, layout, row) {
                Some(score) => Ok(score),
                None if matches!(label, Scalar::Text(_) | Scalar::Bool(_)) => Err(NoResult("regress")),
                None => Ok(*label),
            },
            [number] => Ok(*number),
            _ => Err(NoResult("regress")),
        },
        _ => Err(NoResult("regress")),
    };
    (0..outputs.rows()).map(row).collect()
}

/// Returns the score beside the label of a row; `None` if the model has not exactly one other output of one number per
/// row.
fn score_beside<'o>(outputs: &'o RowOutputs, layout: &Layout, row: usize) -> Option<Scalar<'o>> {
    let roles = layout.outputs.iter();
    let is_beside = |(value, role): &(RowValue<'_>, &Output)| {
        **role != Output::Prediction && !matches!(value, RowValue::Whole(_))
    };
    let mut beside = outputs.row(row).zip(roles).filter(is_beside);
    match (beside.next(), beside.next()) {
        (Some((RowValue::Elements(elements), Output::Other)), None) => match elements.as_slice() {
            [score] if is_float(score) => Some(*score),
            _ => None,
        },
        _ => None,
    }
}

fn of_role<'o>(outputs: &'o RowOutputs, layout: &Layout, row: usize, role: Output) -> Option<RowValue<'o>> {
    let position = layout.outputs.iter().position(|known| *known == role)?;
    outputs.row(row).nth(position)
}
