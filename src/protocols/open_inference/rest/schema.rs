//! Schemas of requests and responses, for the API description only; other modules read and write them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Tensors by name, and the requested outputs.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32",
    "data": [5.1, 3.5, 1.4, 0.2]}]})))]
pub(in crate::protocols) struct InferRequestDocument {
    /// Returned with the response
    id: Option<String>,
    /// `binary_data_output`: outputs as bytes; `timeout`: in microseconds
    parameters: Option<BTreeMap<String, ParameterDocument>>,
    /// A tensor for each input
    inputs: Vec<TensorDocument>,
    /// The requested outputs, in this order; all outputs if absent
    outputs: Option<Vec<RequestedOutputDocument>>,
}

/// A tensor.
#[derive(Serialize, ToSchema)]
pub(in crate::protocols) struct TensorDocument {
    /// The name of the tensor
    #[schema(example = "features")]
    name: String,
    /// The size of each dimension, the outermost first
    #[schema(example = json!([1, 4]))]
    shape: Vec<u64>,
    /// `BOOL`, `UINT8` to `UINT64`, `INT8` to `INT64`, `FP16`, `BF16`, `FP32`, `FP64` or `BYTES` (texts)
    #[schema(example = "FP32")]
    datatype: String,
    /// `binary_data_size`: the number of bytes after the JSON that hold the elements, in place of `data`
    parameters: Option<BTreeMap<String, ParameterDocument>>,
    /// The elements, row-major, flat or nested; the texts `NaN`, `Infinity` and `-Infinity` stand for these numbers
    #[schema(value_type = Option<Vec<Value>>, example = json!([5.1, 3.5, 1.4, 0.2]))]
    data: Option<Vec<serde_json::Value>>,
}

/// A requested output.
#[derive(Serialize, ToSchema)]
pub(in crate::protocols) struct RequestedOutputDocument {
    /// The name of the output
    #[schema(example = "probabilities")]
    name: String,
    /// `binary_data`: as bytes; `classification`: the number of greatest elements to return, as `VALUE:INDEX:LABEL`
    parameters: Option<BTreeMap<String, ParameterDocument>>,
}

/// A parameter.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::protocols) enum ParameterDocument {
    /// A text
    Text(String),
    /// A number
    Number(f64),
    /// true or false
    Truth(bool),
}

/// Tensors by name.
#[derive(Serialize, ToSchema)]
pub(in crate::protocols) struct InferResponseDocument {
    /// The model that ran
    #[schema(example = "iris")]
    model_name: String,
    /// The version that ran
    #[schema(example = "1")]
    model_version: String,
    /// The `id` of the request
    id: Option<String>,
    /// A tensor for each output
    outputs: Vec<TensorDocument>,
}
