//! Runs a version on the inputs of other servers' protocols: tensors, or rows of features.

use axum::body::Bytes;

use super::wire::PredictInputs;
use crate::{
    codec::{FieldError, Model, RowBase, asks_by_row},
    edge::{ApiError, EdgeState},
    model::{InputViolation, Tensor, Violations},
    serving::{Inference, PermittedServable, Prediction, RequestContext, Servable, ServingError},
};

/// The place of the list of rows in the body; `None` if the body holds tensors by input name, as `inputs`.
pub(in crate::protocols) type ListOfRows = Option<&'static str>;

/// Refuses a body with rows, however many, if an input or output of the model does not hold one part for each row.
pub(in crate::protocols) fn refuse_rows(servable: &Servable, body: &[u8]) -> Result<(), ServingError> {
    match servable.proof.against_rows() {
        Some(reason) if asks_by_row(body) => Err(reason.into()),
        _ => Ok(()),
    }
}

/// Returns the model that a body is read for.
pub(in crate::protocols) fn model_of(servable: &Servable) -> Model<'_> {
    let Servable { signature, layout, contract, .. } = servable;
    Model { signature, layout: layout.as_deref(), contract }
}

/// Reads a body and drops it, since its contents are held as tensors from then on.
pub(in crate::protocols) fn read_and_drop<T>(body: Bytes, read: impl FnOnce(&[u8]) -> T) -> T {
    let read = read(&body);
    drop(body);
    read
}

/// Runs a version. Dropping the future ends the run.
pub(in crate::protocols) async fn run(
    state: &EdgeState,
    servable: PermittedServable,
    given: PredictInputs,
    list: ListOfRows,
    context: RequestContext,
) -> Result<Inference, ApiError> {
    let inputs = inputs_of(&servable, given, list)?;
    state.serving.infer(servable, inputs, context).await.map_err(|error| placed(error, list))
}

/// Runs a version on a number of rows, for a response row by row. Dropping the future ends the run.
pub(in crate::protocols) async fn run_rows(
    state: &EdgeState,
    servable: PermittedServable,
    (given, rows): (PredictInputs, usize),
    list: ListOfRows,
    context: RequestContext,
) -> Result<Prediction, ApiError> {
    let inputs = inputs_of(&servable, given, list)?;
    state.serving.infer_rows(servable, inputs, rows, context).await.map_err(|error| placed(error, list))
}

fn inputs_of(
    servable: &Servable,
    given: PredictInputs,
    list: ListOfRows,
) -> Result<Vec<(String, Tensor)>, ApiError> {
    match given {
        PredictInputs::Tensors(tensors) => Ok(tensors),
        PredictInputs::Rows(rows) => {
            servable.layout_of_rows().map_err(ServingError::from)?;
            let base = list.map_or(RowBase::Instances, RowBase::List);
            let inputs =
                rows.into_inputs().ok_or(ServingError::Internal("rows were counted, not read, as inputs"))?;
            inputs.map_err(|violations| ApiError::InvalidRows { violations, base })
        }
    }
}

/// Adds the place in the body to an error.
fn placed(error: ServingError, list: ListOfRows) -> ApiError {
    match (error, list) {
        (ServingError::InvalidInputs(violations), Some(list)) => of_list(violations, list),
        (error, Some(list)) => ApiError::about_rows(error, RowBase::List(list)),
        (error, None) => error.into(),
    }
}

/// Places errors of whole inputs at the list of rows, since the body holds no inputs by name.
fn of_list(violations: Violations<InputViolation>, list: &str) -> ApiError {
    let error = |InputViolation { input, path, code, message }: InputViolation| {
        FieldError::new(format!("{list}{path}"), code, format!("input `{input}`: {message}"))
    };
    ApiError::InvalidBody(violations.listed.into_iter().map(error).collect())
}
