//! Metadata and readiness of the server and its models, and Triton's model configuration.

use serde::Serialize;
use utoipa::ToSchema;

use super::declared::{DeclaredTensor, declared_tensor};
use crate::model::{ModelVersion, Signature};

/// The name of this server.
pub const SERVER_NAME: &str = "onnx-gateway";

/// The runtime of the models, by Triton's name for platforms.
pub const PLATFORM: &str = "onnxruntime_onnx";

/// The runtime of the models, by Triton's name in configurations.
const BACKEND: &str = "onnxruntime";

/// The supported extensions of the protocol.
pub const EXTENSIONS: &[&str] = &[
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
];

/// The server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerMetadata {
    /// The name of the server
    #[schema(example = "onnx-gateway")]
    name: &'static str,
    /// The version of the server
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The supported extensions of the protocol
    #[schema(value_type = Vec<String>, example = json!(["binary_tensor_data", "classification"]))]
    extensions: &'static [&'static str],
}

impl Default for ServerMetadata {
    fn default() -> Self {
        Self { name: SERVER_NAME, version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

/// The liveness of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveDocument {
    /// Always true: a server that is not alive does not respond
    pub live: bool,
}

/// The readiness of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyDocument {
    /// True if the server accepts requests
    pub ready: bool,
}

/// The readiness of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelReadyDocument {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// True if the model is in service
    pub ready: bool,
}

/// The models that are in service.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelNames {
    /// The names of the models
    pub models: Vec<String>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelMetadataDocument {
    /// The name of the model
    #[schema(example = "iris")]
    pub name: String,
    /// The versions that are in service
    #[schema(value_type = Vec<String>, example = json!(["1"]))]
    pub versions: Vec<ModelVersion>,
    /// The runtime of the model
    #[schema(example = "onnxruntime_onnx")]
    pub platform: &'static str,
    /// The inputs of the model
    pub inputs: Vec<DeclaredTensor>,
    /// The outputs of the model
    pub outputs: Vec<DeclaredTensor>,
}

impl ModelMetadataDocument {
    /// Returns the metadata of a model with this signature.
    #[must_use]
    pub fn new(name: String, versions: Vec<ModelVersion>, signature: &Signature) -> Self {
        let inputs = signature.inputs.iter().map(declared_tensor).collect();
        let outputs = signature.outputs.iter().map(declared_tensor).collect();
        Self { name, versions, platform: PLATFORM, inputs, outputs }
    }
}

/// A model in the form of Triton's `ModelConfig`, with the fields that apply here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelConfigDocument {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// The runtime of the model
    #[schema(example = "onnxruntime_onnx")]
    pub platform: &'static str,
    /// The backend of the model
    #[schema(example = "onnxruntime")]
    pub backend: &'static str,
    /// 0: shapes are complete, including the dimension that counts rows
    pub max_batch_size: u32,
    /// The inputs of the model
    pub input: Vec<ConfiguredTensor>,
    /// The outputs of the model
    pub output: Vec<ConfiguredTensor>,
    /// The instances of the model
    pub instance_group: Vec<InstanceGroup>,
    /// The file name of a version
    #[schema(example = "model.onnx")]
    pub default_model_filename: &'static str,
}

/// An input or output in a configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfiguredTensor {
    /// The name of the tensor
    pub name: String,
    /// The type of the elements
    #[schema(example = "TYPE_FP32")]
    pub data_type: String,
    /// The shape; -1 for a dimension that may vary
    #[schema(example = json!([-1, 4]))]
    pub dims: Vec<i64>,
    /// True if it may be absent
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// The instances of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceGroup {
    /// The name of the group
    pub name: String,
    /// The device that the instances run on
    #[schema(example = "KIND_CPU")]
    pub kind: &'static str,
    /// Number of runs at the same time
    pub count: usize,
}

impl ModelConfigDocument {
    /// Returns the configuration of a model with this signature and this number of instances.
    #[must_use]
    pub fn new(name: &str, signature: &Signature, instances: usize) -> Self {
        let configured = |spec| {
            let DeclaredTensor { name, datatype, shape } = declared_tensor(spec);
            // The only type with another name here.
            let datatype = if datatype == "BYTES" { "STRING" } else { datatype };
            ConfiguredTensor {
                name,
                data_type: format!("TYPE_{datatype}"),
                dims: shape,
                optional: spec.is_optional(),
            }
        };
        Self {
            name: name.to_owned(),
            platform: PLATFORM,
            backend: BACKEND,
            max_batch_size: 0,
            input: signature.inputs.iter().map(configured).collect(),
            output: signature.outputs.iter().map(configured).collect(),
            instance_group: vec![InstanceGroup {
                name: format!("{name}_0"),
                kind: "KIND_CPU",
                count: instances,
            }],
            default_model_filename: "model.onnx",
        }
    }
}
