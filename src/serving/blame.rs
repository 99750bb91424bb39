//! Reports of failed predictions to the trial of their deployment, which decides whether the model is at fault.

use super::ServingError;
use crate::{
    lifecycle::{Servable, Suspect},
    runtime::Inputs,
};

/// The facts of a request that matter if it fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requester {
    /// The caller, as a number.
    pub(super) caller: u64,
    /// True if the request holds rows.
    pub(super) by_rows: bool,
}

/// Reports a failure on these inputs to the trial of the version, and returns the error. Timeouts and overload are not
/// reported.
pub(super) fn blamed(
    servable: &Servable,
    Requester { caller, by_rows }: Requester,
    error: ServingError,
    inputs: Option<Box<Inputs>>,
) -> ServingError {
    let (is_refusal, error) = match error {
        ServingError::InputsRefused { reason, cause, .. } => {
            let input = match servable.signature.inputs.as_slice() {
                [only] => Some(only.name.clone()),
                _ => None,
            };
            (true, ServingError::InputsRefused { reason, input, cause })
        }
        ServingError::ModelFailed(_) | ServingError::NonFiniteOutput(_) => (false, error),
        other => return other,
    };
    servable.monitor.failed(Suspect { caller, inputs, by_rows, is_refusal });
    error
}
