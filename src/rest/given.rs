//! Running a version on what the dialects of other servers give it: tensors, or rows of features.

use std::sync::Arc;

use crate::{
    model::{InputViolation, Violations, rows_to_tensors},
    serving::{Inference, Servable, ServingError, Terms},
    transport::{ApiError, TransportState},
    wire::{FieldError, RowBase, asks_by_row, tensorflow::Given},
};

/// Where the list of rows stands in the body; nothing if tensors stand there by input name, as `inputs`.
pub(super) type ListOfRows = Option<&'static str>;

/// Refuses a body that asks by rows, however many, where an input or an output does not hold one part for each.
pub(super) fn refuse_rows(servable: &Servable, body: &[u8]) -> Result<(), ServingError> {
    match servable.proof.against_rows() {
        Some(reason) if asks_by_row(body) => Err(reason.into()),
        _ => Ok(()),
    }
}

/// Runs a version. Dropping the future ends the run.
pub(super) async fn run(
    state: &TransportState,
    servable: Arc<Servable>,
    given: Given,
    list: ListOfRows,
    terms: Terms,
) -> Result<Inference, ApiError> {
    let inputs = match given {
        Given::Tensors(tensors) => tensors,
        Given::Rows(rows) => {
            let layout = servable.layout_of_rows().map_err(ServingError::from)?;
            let base = list.map_or(RowBase::Instances, RowBase::List);
            rows_to_tensors(&rows, layout, &servable.contract)
                .map_err(|violations| ApiError::InvalidRows { violations, base })?
        }
    };
    state.serving.infer(servable, inputs, terms).await.map_err(|error| match (error, list) {
        (ServingError::InvalidInputs(violations), Some(list)) => of_list(violations, list),
        (other, _) => other.into(),
    })
}

/// What is wrong with whole inputs, where there is only a list of rows to point to.
fn of_list(violations: Violations<InputViolation>, list: &str) -> ApiError {
    let error = |InputViolation { input, path, code, message }: InputViolation| {
        FieldError::new(format!("{list}{path}"), code, format!("input `{input}`: {message}"))
    };
    ApiError::InvalidBody(violations.listed.into_iter().map(error).collect())
}
