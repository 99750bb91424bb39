//! What the protocol says of the server and of models: metadata, readiness, and Triton's configuration of a model.

use serde::Serialize;
use utoipa::ToSchema;

use super::declared::{DeclaredTensor, declared_tensor};
use crate::model::{ModelVersion, Signature};

/// The name of this server.
pub const SERVER_NAME: &str = "onnx-gateway";

/// What runs the models, as Triton names it.
pub const PLATFORM: &str = "onnxruntime_onnx";

/// What runs the models, as Triton's configurations name it.
const BACKEND: &str = "onnxruntime";

/// The extensions of the protocol that are offered: those that work.
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
    /// Its name
    #[schema(example = "onnx-gateway")]
    name: &'static str,
    /// Its version
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The extensions of the protocol that it offers
    #[schema(value_type = Vec<String>, example = json!(["binary_tensor_data", "classification"]))]
    extensions: &'static [&'static str],
}

impl Default for ServerMetadata {
    fn default() -> Self {
        Self { name: SERVER_NAME, version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

/// Whether the server lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveDocument {
    /// It does if it answers
    pub live: bool,
}

/// Whether the server is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyDocument {
    /// Whether requests should be sent here
    pub ready: bool,
}

/// Whether a model is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelReadyDocument {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// Whether it answers
    pub ready: bool,
}

/// The models that are in service.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelNames {
    /// Their names
    pub models: Vec<String>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelMetadataDocument {
    /// Its name
    #[schema(example = "iris")]
    pub name: String,
    /// The versions that are in service
    #[schema(value_type = Vec<String>, example = json!(["1"]))]
    pub versions: Vec<ModelVersion>,
    /// What runs it
    #[schema(example = "onnxruntime_onnx")]
    pub platform: &'static str,
    /// What it takes
    pub inputs: Vec<DeclaredTensor>,
    /// What it gives
    pub outputs: Vec<DeclaredTensor>,
}

impl ModelMetadataDocument {
    /// What is told of a model with this signature.
    #[must_use]
    pub fn new(name: String, versions: Vec<ModelVersion>, signature: &Signature) -> Self {
        let inputs = signature.inputs.iter().map(declared_tensor).collect();
        let outputs = signature.outputs.iter().map(declared_tensor).collect();
        Self { name, versions, platform: PLATFORM, inputs, outputs }
    }
}

/// A model as Triton's `ModelConfig` has it: the fields that mean something here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelConfigDocument {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// What runs it
    #[schema(example = "onnxruntime_onnx")]
    pub platform: &'static str,
    /// What runs it
    #[schema(example = "onnxruntime")]
    pub backend: &'static str,
    /// 0: shapes are whole, with the dimension that counts rows
    pub max_batch_size: u32,
    /// What it takes
    pub input: Vec<ConfiguredTensor>,
    /// What it gives
    pub output: Vec<ConfiguredTensor>,
    /// Its sessions
    pub instance_group: Vec<InstanceGroup>,
    /// The file of a version
    #[schema(example = "model.onnx")]
    pub default_model_filename: &'static str,
}

/// An input or output in a configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfiguredTensor {
    /// Its name
    pub name: String,
    /// The type of its elements
    #[schema(example = "TYPE_FP32")]
    pub data_type: String,
    /// Its shape; -1 for a dimension that may vary
    #[schema(example = json!([-1, 4]))]
    pub dims: Vec<i64>,
    /// Whether it may be left out
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// The sessions of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceGroup {
    /// Their name
    pub name: String,
    /// Where they run
    #[schema(example = "KIND_CPU")]
    pub kind: &'static str,
    /// How many there are
    pub count: usize,
}

impl ModelConfigDocument {
    /// The configuration of a model with this signature and so many sessions.
    #[must_use]
    pub fn new(name: &str, signature: &Signature, instances: usize) -> Self {
        let configured = |spec| {
            let DeclaredTensor { name, datatype, shape } = declared_tensor(spec);
            // The one type that has another name here.
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
