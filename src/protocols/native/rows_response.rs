//! The response to rows of numbers.

use super::json::RowsAnswer;
use crate::serving::{FlatPrediction, Servable, ServingError};

/// Writes the response of a version as JSON: to the list of rows if `many`, else to the first.
///
/// # Errors
///
/// If the outputs do not hold one part for each row.
pub(super) fn write_rows(
    mut prediction: FlatPrediction,
    servable: &Servable,
    many: bool,
) -> Result<Vec<u8>, ServingError> {
    if let Some(body) = prediction.write(servable, many) {
        return Ok(body);
    }
    let outputs = prediction.into_rows(servable)?;
    let Servable { name, version, signature, contract, .. } = servable;
    let layout = servable.layout_of_rows()?;
    let answer = RowsAnswer {
        model: name.as_str(),
        version: *version,
        signature,
        contract,
        layout,
        outputs: &outputs,
        many,
    };
    serde_json::to_vec(&answer).map_err(|error| ServingError::ModelFailed(error.to_string()))
}
