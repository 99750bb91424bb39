//! An inference response: JSON, followed by the outputs requested as bytes.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use super::outputs::OutputTensor;
use crate::{
    codec::{tensor_bytes::elements_to_bytes, values::Elements},
    model::{ModelName, ModelVersion},
};

/// Minimum total size at which tensors are sent without copying; smaller ones are joined with the JSON.
const APART_BYTES: usize = 1024 * 1024;

/// Length of the JSON of a short response: of one row.
const SHORT_BYTES: usize = 512;

/// A written response.
#[derive(Debug)]
pub struct InferResponse {
    /// The parts of the body, in order.
    pub parts: Vec<Bytes>,
    /// Number of bytes that are JSON; `None` if only JSON is sent.
    pub json_bytes: Option<usize>,
}

/// Writes a response.
///
/// # Errors
///
/// Only a serializer could fail, and none of these does.
pub fn write_infer_response(
    model: &ModelName,
    version: ModelVersion,
    id: Option<&str>,
    outputs: &[OutputTensor<'_>],
) -> serde_json::Result<InferResponse> {
    let written: Vec<Written> = outputs
        .iter()
        .map(|output| Written {
            output,
            bytes: output.binary.then(|| elements_to_bytes(output.tensor.data())),
        })
        .collect();
    let mut json = Vec::with_capacity(SHORT_BYTES);
    let document = Document { model_name: model.as_str(), model_version: version, id, outputs: &written };
    serde_json::to_writer(&mut json, &document)?;
    let binary: Vec<Bytes> = written.into_iter().filter_map(|output| output.bytes).collect();
    let total: usize = binary.iter().map(Bytes::len).sum();
    if total == 0 {
        return Ok(InferResponse { parts: vec![json.into()], json_bytes: None });
    }
    let json_bytes = Some(json.len());
    if total >= APART_BYTES {
        let parts = std::iter::once(json.into()).chain(binary).collect();
        return Ok(InferResponse { parts, json_bytes });
    }
    let mut body = BytesMut::from(Bytes::from(json));
    body.reserve(total);
    for part in &binary {
        body.extend_from_slice(part);
    }
    Ok(InferResponse { parts: vec![body.freeze()], json_bytes })
}

#[derive(Serialize)]
struct Document<'a> {
    model_name: &'a str,
    model_version: ModelVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: &'a [Written<'a>],
}

struct Written<'a> {
    output: &'a OutputTensor<'a>,
    bytes: Option<Bytes>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let OutputTensor { name, tensor, .. } = self.output;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", name)?;
        map.serialize_entry("datatype", tensor.data().element_type().name())?;
        map.serialize_entry("shape", tensor.shape())?;
        match &self.bytes {
            Some(bytes) => map.serialize_entry("parameters", &json!({"binary_data_size": bytes.len()}))?,
            None => map.serialize_entry("data", &Elements(tensor.data()))?,
        }
        map.end()
    }
}
