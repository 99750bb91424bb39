//! A prediction request.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    SIGNATURE_NAME,
    instances::{Instances, PredictInputs, read_columns, read_instances},
};
use crate::codec::{BodyError, Model, body::parse};

/// The inputs of a request, whose form is also that of the response.
#[derive(Debug)]
pub enum TensorFlowRequest {
    /// By row.
    Rows(Instances),
    /// By input.
    Columns(PredictInputs),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'b> {
    #[serde(default)]
    signature_name: Option<String>,
    #[serde(borrow, default)]
    instances: Option<&'b RawValue>,
    #[serde(borrow, default)]
    inputs: Option<&'b RawValue>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// Reads a request to a model of this signature.
///
/// # Errors
///
/// If it is not JSON, or not what the model takes, with the place.
pub fn read_request(body: &[u8], model: Model<'_>) -> Result<TensorFlowRequest, BodyError> {
    let document: Document = parse(body)?;
    check_signature_name(document.signature_name.as_deref())?;
    check_parameters("parameters", document.parameters.as_ref())?;
    match (document.instances, document.inputs) {
        (Some(instances), None) => {
            read_instances(instances, "/instances", model).map(TensorFlowRequest::Rows)
        }
        (None, Some(inputs)) => read_columns(inputs, model.signature).map(TensorFlowRequest::Columns),
        _ => {
            let message =
                "expected either `instances` (a list of rows) or `inputs` (a tensor for each input)";
            Err(BodyError::invalid("", "exactly_one_of", message))
        }
    }
}

/// Accepts only the default signature, as no other exists.
pub(super) fn check_signature_name(name: Option<&str>) -> Result<(), BodyError> {
    match name {
        None | Some("" | SIGNATURE_NAME) => Ok(()),
        Some(_) => {
            let message = format!("an ONNX model has one signature, `{SIGNATURE_NAME}`");
            Err(BodyError::invalid("/signature_name", "unknown_signature", message))
        }
    }
}

/// Refuses parameters, as a model takes none beside its inputs.
pub(in crate::protocols) fn check_parameters(
    field: &str,
    parameters: Option<&Map<String, Value>>,
) -> Result<(), BodyError> {
    match parameters {
        Some(parameters) if !parameters.is_empty() => {
            let message = "an ONNX model takes no parameters beside its inputs: leave them out";
            Err(BodyError::invalid(&format!("/{field}"), "unknown_parameter", message))
        }
        _ => Ok(()),
    }
}
