//! An inference request: JSON, followed by binary tensors (extension `binary_tensor_data`), or one tensor alone.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::{Place, form::count, input::InputDocument, outputs::RequestedOutput, parameters::Parameters};
use crate::{
    codec::{BodyError, FieldError, body::parse, tensor_bytes::elements_from_bytes},
    model::{Dimension, ElementType, Signature, Tensor, TensorData},
};

/// The contents of a request.
#[derive(Debug, Default)]
pub struct InferRequest {
    /// The id, returned with the response.
    pub id: Option<String>,
    /// The tensors by input name, in the order they were sent.
    pub inputs: Vec<(String, Tensor)>,
    /// The requested outputs, in this order; if empty, all of them.
    pub outputs: Vec<RequestedOutput>,
    /// True if outputs that are not named are requested as bytes.
    pub binary_outputs: bool,
    /// Maximum time that the caller waits.
    pub timeout: Option<Duration>,
    /// The order of waiting requests: 0 before 1, and so on.
    pub priority: u8,
}

#[derive(Debug, Deserialize)]
struct Document<'b> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    inputs: Vec<InputDocument<'b>>,
    #[serde(default)]
    outputs: Option<Vec<OutputDocument>>,
}

#[derive(Debug, Deserialize)]
struct OutputDocument {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Reads a request whose first `json_bytes` are JSON, or all of the body if `None`.
///
/// # Errors
///
/// If the JSON is not valid, or a tensor, parameter or length in it is wrong, with the place.
pub fn read_infer_request(body: &Bytes, json_bytes: Option<usize>) -> Result<InferRequest, BodyError> {
    let invalid = |error| BodyError::Invalid(vec![error]);
    let declared = json_bytes.map(|json_bytes| declared_length(json_bytes, body.len()));
    let json_bytes = json_bytes.unwrap_or(body.len());
    if json_bytes > body.len() {
        let message = format!(
            "the bytes of the body are fewer than the JSON in it should have: {}",
            declared.unwrap_or_default()
        );
        return Err(invalid(FieldError::new("", "wrong_length", message)));
    }
    let json = body.slice(..json_bytes);
    let mut binary = body.slice(json_bytes..);
    let document: Document = parse(&json).map_err(|error| match (error, &declared) {
        // The length may belong to another request and cut off this one's JSON.
        (BodyError::Malformed(error), Some(declared)) => {
            let message = format!("{}; {declared}", error.message);
            BodyError::Malformed(FieldError { message, ..error })
        }
        (error, _) => error,
    })?;
    let (id, inputs) = (document.id, document.inputs);
    document.parameters.check(Place::Request).map_err(invalid)?;
    let timeout = document.parameters.timeout(Place::Request).map_err(invalid)?;
    let priority = document.parameters.priority(Place::Request).map_err(invalid)?;
    let binary_outputs =
        document.parameters.truth(Place::Request, "binary_data_output").map_err(invalid)?.unwrap_or_default();
    let requested = |(index, OutputDocument { name, parameters }): (usize, OutputDocument)| {
        RequestedOutput::read(Place::Output(index), name, &parameters, binary_outputs)
    };
    let outputs = document.outputs.unwrap_or_default().into_iter().enumerate().map(requested);
    let outputs = outputs.collect::<Result<_, _>>().map_err(invalid)?;
    let mut tensors = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let tensor = input.tensor(Place::Input(index), &mut binary).map_err(invalid)?;
        tensors.push((input.name, tensor));
    }
    if !binary.is_empty() {
        let left = binary.len();
        let message =
            format!("{left} bytes are left over after the last input's; {}", declared.unwrap_or_default());
        return Err(invalid(FieldError::new("", "wrong_bytes", message)));
    }
    Ok(InferRequest { id, inputs: tensors, outputs, binary_outputs, timeout, priority })
}

/// States the declared length of the JSON and that of the body: a client that reuses its headers sends a stale one.
fn declared_length(json_bytes: usize, body_bytes: usize) -> String {
    format!(
        "Inference-Header-Content-Length (or json-header-size) says that {json_bytes} bytes are JSON, and the body has \
         {body_bytes}: send the length of this request, or none where nothing follows the JSON"
    )
}

/// Reads a body that consists only of the model's one input; every output is requested as bytes.
///
/// # Errors
///
/// If the model has several inputs, or the size of the body does not determine the shape of the one.
pub fn read_raw_request(body: Bytes, signature: &Signature) -> Result<InferRequest, BodyError> {
    let invalid = |code, message: String| BodyError::Invalid(vec![FieldError::new("", code, message)]);
    let [spec] = signature.inputs.as_slice() else {
        let message = format!(
            "a body without JSON is for models of one input; this one has {}",
            signature.inputs.len()
        );
        return Err(invalid("wrong_form", message));
    };
    let Some((element_type, declared)) = spec.as_tensor() else {
        return Err(invalid("wrong_form", format!("input `{}` is not a tensor", spec.name)));
    };
    let undecided = || {
        invalid(
            "wrong_shape",
            format!("the shape of input `{}` cannot be derived from the body: {}", spec.name, spec.kind),
        )
    };
    let dynamic = declared.iter().filter(|dimension| matches!(dimension, Dimension::Dynamic(_))).count();
    // The outermost dimension counts rows: it is 1 if another one varies too, and for a text, since a body holds only
    // one.
    let is_text = element_type == ElementType::String;
    let size = |fill: usize| {
        let size = |(axis, dimension): (usize, &Dimension)| match dimension {
            Dimension::Fixed(size) => *size,
            Dimension::Dynamic(_) if axis == 0 && (dynamic > 1 || is_text) => 1,
            Dimension::Dynamic(_) => fill,
        };
        declared.iter().enumerate().map(size).collect::<Vec<usize>>()
    };
    if dynamic > 2 || (dynamic == 2 && !matches!(declared.first(), Some(Dimension::Dynamic(_)))) {
        return Err(undecided());
    }
    let (shape, data) = if is_text {
        let shape = size(1);
        if count(&shape) != Some(1) {
            return Err(undecided());
        }
        let text = str::from_utf8(&body).map_err(|error| invalid("wrong_bytes", error.to_string()))?;
        (shape, TensorData::String(vec![text.to_owned()]))
    } else {
        let least = count(&size(1)).ok_or_else(undecided)?;
        let row = elements_to_size(element_type, least);
        let rows = if row > 0 && body.len().is_multiple_of(row) { body.len() / row } else { 1 };
        let shape = size(rows);
        let elements = count(&shape).ok_or_else(undecided)?;
        let data = elements_from_bytes(element_type, elements, body);
        (shape, data.map_err(|error| invalid("wrong_bytes", error.to_string()))?)
    };
    let tensor = Tensor::new(shape, data).map_err(|error| invalid("wrong_shape", error.to_string()))?;
    Ok(InferRequest {
        inputs: vec![(spec.name.clone(), tensor)],
        binary_outputs: true,
        ..InferRequest::default()
    })
}

fn elements_to_size(element_type: ElementType, elements: usize) -> usize {
    element_type.size_bytes().unwrap_or_default().saturating_mul(elements)
}
