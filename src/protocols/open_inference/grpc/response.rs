//! The message of an inference response.

use bytes::Bytes;

use super::{
    contents::contents,
    proto::{InferTensorContents, ModelInferResponse, model_infer_response::InferOutputTensor},
};
use crate::{
    codec::tensor_bytes::elements_to_bytes, protocols::open_inference::wire::OutputTensor, serving::Servable,
};

/// Writes a response, with all elements raw or each in the field for its type. If one output has no such field, all are
/// raw: a response must not mix both.
pub(super) fn write(
    servable: &Servable,
    id: Option<String>,
    outputs: &[OutputTensor<'_>],
    raw: bool,
) -> ModelInferResponse {
    let typed = if raw { None } else { typed(outputs) };
    let raw_output_contents = match typed {
        Some(_) => Vec::new(),
        None => outputs.iter().map(|output| -> Bytes { elements_to_bytes(output.tensor.data()) }).collect(),
    };
    let mut typed = typed.into_iter().flatten();
    let tensor = |output: &OutputTensor<'_>| InferOutputTensor {
        name: output.name.to_owned(),
        datatype: output.tensor.data().element_type().name().to_owned(),
        shape: output.tensor.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect(),
        contents: typed.next(),
        ..InferOutputTensor::default()
    };
    ModelInferResponse {
        model_name: servable.name.to_string(),
        model_version: servable.version.to_string(),
        id: id.unwrap_or_default(),
        outputs: outputs.iter().map(tensor).collect(),
        raw_output_contents,
        ..ModelInferResponse::default()
    }
}

/// Returns the elements of each output in the field for their type; `None` if any has no such field.
fn typed(outputs: &[OutputTensor<'_>]) -> Option<Vec<InferTensorContents>> {
    outputs.iter().map(|output| contents(output.tensor.data())).collect()
}
