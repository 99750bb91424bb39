//! The reader of inference requests. Errors give places in the message, as JSON pointers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde_json::Value;
use tonic::Request;

use super::{
    contents::elements,
    proto::{
        InferParameter, ModelInferRequest, infer_parameter::ParameterChoice,
        model_infer_request::InferInputTensor,
    },
};
use crate::{
    auth::Caller,
    codec::{FieldError, tensor_bytes::elements_from_bytes},
    edge::ApiError,
    model::Tensor,
    protocols::open_inference::wire::{InferRequest, Parameters, Place, RequestedOutput, TensorForm},
};

/// Returns the caller: an extension that only the authentication layer adds.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, ApiError> {
    request.extensions().get::<Arc<Caller>>().map(Arc::clone).ok_or(ApiError::NoToken)
}

/// Returns the requested version; `None` if the latest is meant.
pub(super) fn chosen_version(version: &str) -> Option<&str> {
    (!version.is_empty()).then_some(version)
}

/// Reads a request. Outputs are raw if its inputs are.
///
/// # Errors
///
/// If a tensor or a parameter is wrong, with its place.
pub(super) fn read(message: ModelInferRequest) -> Result<InferRequest, FieldError> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents: raw, .. } = message;
    let parameters = read_parameters(parameters);
    parameters.check(Place::Request)?;
    let (timeout, priority) = (parameters.timeout(Place::Request)?, parameters.priority(Place::Request)?);
    let is_raw = !raw.is_empty();
    let requested = outputs.into_iter().enumerate().map(|(index, output)| {
        let parameters = read_parameters(output.parameters);
        RequestedOutput::read(Place::Output(index), output.name, &parameters, is_raw)
    });
    let outputs = requested.collect::<Result<_, _>>()?;
    if is_raw && raw.len() != inputs.len() {
        let message = format!("expected {} contents, one for each input, got {}", inputs.len(), raw.len());
        return Err(FieldError::new("/raw_input_contents", "wrong_count", message));
    }
    let mut raw = raw.into_iter();
    let tensors = inputs.into_iter().enumerate().map(|(index, input)| tensor(index, input, raw.next()));
    let inputs = tensors.collect::<Result<_, _>>()?;
    let id = (!id.is_empty()).then_some(id);
    Ok(InferRequest { id, inputs, outputs, binary_outputs: is_raw, timeout, priority })
}

/// Reads an input with its name; `raw` are its elements if the message holds them separately.
fn tensor(index: usize, input: InferInputTensor, raw: Option<Bytes>) -> Result<(String, Tensor), FieldError> {
    let place = Place::Input(index);
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    read_parameters(parameters).check_tensor(place)?;
    let form = TensorForm::read(place, &datatype, &shape)?;
    let data = match (raw, contents) {
        (Some(bytes), None) => {
            elements_from_bytes(form.element_type, form.count, bytes).map_err(|error| {
                FieldError::new(format!("/raw_input_contents/{index}"), "wrong_bytes", error.to_string())
            })?
        }
        (Some(_), Some(_)) => {
            let message = "a request with raw_input_contents must have no contents here";
            return Err(FieldError::new(format!("{place}/contents"), "wrong_form", message));
        }
        (None, contents) => elements(place, &form, contents.unwrap_or_default())?,
    };
    Ok((name, form.tensor(place, data)?))
}

fn read_parameters(parameters: BTreeMap<String, InferParameter>) -> Parameters {
    let value = |parameter: InferParameter| match parameter.parameter_choice {
        Some(ParameterChoice::BoolParam(truth)) => Value::from(truth),
        Some(ParameterChoice::Int64Param(number)) => Value::from(number),
        Some(ParameterChoice::StringParam(text)) => Value::from(text),
        Some(ParameterChoice::DoubleParam(number)) => Value::from(number),
        Some(ParameterChoice::Uint64Param(number)) => Value::from(number),
        None => Value::Null,
    };
    parameters.into_iter().map(|(name, parameter)| (name, value(parameter))).collect()
}
