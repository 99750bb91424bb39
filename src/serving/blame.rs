//! Requests that the model did not answer: whose fault that is, is found out by the trial of its deployment.

use super::ServingError;
use crate::{
    lifecycle::{Servable, Suspect},
    runtime::Inputs,
};

/// A request, as far as it matters when it fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedBy {
    /// The caller, as a number.
    pub(super) caller: u64,
    /// True if rows were asked.
    pub(super) by_rows: bool,
}

/// Tells the trial of a version that it did not answer these inputs. Other errors are passed on: no time, no room.
pub(super) fn blamed(
    servable: &Servable,
    AskedBy { caller, by_rows }: AskedBy,
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
    servable.trial.failed(Suspect { caller, inputs, by_rows, is_refusal });
    error
}
