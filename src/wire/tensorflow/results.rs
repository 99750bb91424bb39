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
/// When the model has no output of probabilities.
pub fn classes<'o>(
    outputs: &'o RowOutputs,
    layout: &Layout,
    contract: &Contract,
) -> Result<Vec<Vec<(String, Scalar<'o>)>>, NoResult> {
    let row = |row| match of_role(outputs, layout, row, Output::Probabilities) {
        Some(RowValue::Elements(elements)) => {
            // Labels of TensorFlow's classes are empty texts where a model names none.
            let names = contract.class_names(elements.len());
            let name = |index: usize| names.as_ref().and_then(|names| names.get(index)).cloned();
            let scored = |(index, score)| (name(index).unwrap_or_default(), score);
            Ok(elements.into_iter().enumerate().map(scored).collect())
        }
        Some(RowValue::ByKey(entries)) => {
            let scored = |(key, score)| (contract.key(key).to_string(), score);
            Ok(entries.into_iter().map(scored).collect())
        }
        Some(RowValue::Parts(_) | RowValue::Whole(_)) | None => Err(NoResult("classify")),
    };
    (0..outputs.rows()).map(row).collect()
}

/// A number for each row: `[0.5, …]`.
///
/// # Errors
///
/// When the model's prediction is no number.
pub fn numbers<'o>(outputs: &'o RowOutputs, layout: &Layout) -> Result<Vec<Scalar<'o>>, NoResult> {
    let row = |row| match of_role(outputs, layout, row, Output::Prediction) {
        Some(RowValue::Elements(elements)) => match elements.as_slice() {
            [Scalar::Text(_) | Scalar::Bool(_)] => Err(NoResult("regress")),
            [number] => Ok(*number),
            _ => Err(NoResult("regress")),
        },
        _ => Err(NoResult("regress")),
    };
    (0..outputs.rows()).map(row).collect()
}

fn of_role<'o>(outputs: &'o RowOutputs, layout: &Layout, row: usize, role: Output) -> Option<RowValue<'o>> {
    let position = layout.outputs.iter().position(|known| *known == role)?;
    outputs.row(row).nth(position)
}
