//! The answer to examples: classes with their scores, or a number.

use crate::model::{Contract, Layout, Output, RowOutputs, RowValue, Scalar};

/// A model that gives nothing like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model does not {0}: ask it to `:predict`")]
pub struct NoResult(&'static str);

/// The score of every class for each row: `[[["LABEL", 0.5], …], …]`.
///
/// # Errors
///
/// When the model has no output of probabilities, and not just one of several numbers a row.
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

/// The scores of a row of a model that has no other output, as a network that ends with a softmax; a label without a name
/// is empty, as for TensorFlow Serving.
fn scores<'o>(outputs: &'o RowOutputs, row: usize, contract: &Contract) -> Option<Vec<(String, Scalar<'o>)>> {
    let mut values = outputs.row(row).filter(|value| !matches!(value, RowValue::Whole(_)));
    let (Some(RowValue::Elements(scores)), None) = (values.next(), values.next()) else { return None };
    if scores.len() < 2 || !scores.iter().all(is_float) {
        return None;
    }
    Some(by_class(scores, contract))
}

/// Scores with the names of their classes; TensorFlow's labels are empty texts where a model names none.
fn by_class<'o>(scores: Vec<Scalar<'o>>, contract: &Contract) -> Vec<(String, Scalar<'o>)> {
    let names = contract.class_names(scores.len());
    let name = |index: usize| names.as_ref().and_then(|names| names.get(index)).cloned();
    scores.into_iter().enumerate().map(|(index, score)| (name(index).unwrap_or_default(), score)).collect()
}

fn is_float(scalar: &Scalar<'_>) -> bool {
    matches!(scalar, Scalar::Single(_) | Scalar::Double(_))
}

/// A number for each row: `[0.5, …]`. Of a model that gives a label and one score beside, as an isolation forest, it is
/// the score.
///
/// # Errors
///
/// When the model's prediction is no number.
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

/// The one number beside the label of a row, if a model gives one output beside the label, of one number a row.
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
