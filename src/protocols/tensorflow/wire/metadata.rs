//! Model metadata in the form of TensorFlow Serving.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::SIGNATURE_NAME;
use crate::{
    model::{ElementType, Signature, ValueSpec},
    protocols::open_inference::wire::declared_tensor,
};

/// The metadata of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataDocument {
    model_spec: ModelSpec,
    metadata: Metadata,
}

/// The name and version of a model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelSpec {
    /// The name of the model
    #[schema(example = "iris")]
    name: String,
    /// Always empty
    signature_name: &'static str,
    /// The version of the model
    #[schema(example = "1")]
    version: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Metadata {
    signature_def: SignatureDefinitions,
}

#[derive(Debug, Serialize, ToSchema)]
struct SignatureDefinitions {
    /// The signatures by name: only `serving_default`
    signature_def: BTreeMap<&'static str, SignatureDefinition>,
}

/// Inputs and outputs.
#[derive(Debug, Serialize, ToSchema)]
struct SignatureDefinition {
    /// The inputs by name
    inputs: BTreeMap<String, TensorInfo>,
    /// The outputs by name
    outputs: BTreeMap<String, TensorInfo>,
    /// Always the method of prediction
    method_name: &'static str,
}

/// An input or output.
#[derive(Debug, Serialize, ToSchema)]
struct TensorInfo {
    /// The type of the elements
    #[schema(example = "DT_FLOAT")]
    dtype: &'static str,
    tensor_shape: TensorShape,
    /// The name in the graph
    #[schema(example = "features")]
    name: String,
}

/// A shape.
#[derive(Debug, Serialize, ToSchema)]
struct TensorShape {
    /// The dimensions, the outermost first
    dim: Vec<TensorDimension>,
    /// True if even the number of dimensions may vary
    unknown_rank: bool,
}

/// A dimension.
#[derive(Debug, Serialize, ToSchema)]
struct TensorDimension {
    /// The size; -1 if it may vary
    #[schema(example = "-1")]
    size: String,
    /// Always empty
    name: &'static str,
}

impl MetadataDocument {
    /// Returns the metadata of a version.
    #[must_use]
    pub fn new(name: String, version: String, signature: &Signature) -> Self {
        let infos = |specs: &[ValueSpec]| {
            specs.iter().map(|spec| (spec.name.clone(), TensorInfo::of(spec))).collect::<BTreeMap<_, _>>()
        };
        let definition = SignatureDefinition {
            inputs: infos(&signature.inputs),
            outputs: infos(&signature.outputs),
            method_name: "tensorflow/serving/predict",
        };
        let signature_def =
            SignatureDefinitions { signature_def: BTreeMap::from([(SIGNATURE_NAME, definition)]) };
        Self {
            model_spec: ModelSpec { name, signature_name: "", version },
            metadata: Metadata { signature_def },
        }
    }
}

impl TensorInfo {
    fn of(spec: &ValueSpec) -> Self {
        let declared = declared_tensor(spec);
        let dimension = |size: &i64| TensorDimension { size: size.to_string(), name: "" };
        let dim: Vec<TensorDimension> = declared.shape.iter().map(dimension).collect();
        // ONNX Runtime does not distinguish a scalar from an undeclared shape.
        let tensor_shape = TensorShape { unknown_rank: dim.is_empty(), dim };
        let dtype = ElementType::of_name(declared.datatype).map_or("DT_INVALID", data_type);
        Self { dtype, tensor_shape, name: declared.name }
    }
}

/// Returns TensorFlow's name of a type (types.proto).
fn data_type(element_type: ElementType) -> &'static str {
    match element_type {
        ElementType::F16 => "DT_HALF",
        ElementType::Bf16 => "DT_BFLOAT16",
        ElementType::F32 => "DT_FLOAT",
        ElementType::F64 => "DT_DOUBLE",
        ElementType::I8 => "DT_INT8",
        ElementType::I16 => "DT_INT16",
        ElementType::I32 => "DT_INT32",
        ElementType::I64 => "DT_INT64",
        ElementType::U8 => "DT_UINT8",
        ElementType::U16 => "DT_UINT16",
        ElementType::U32 => "DT_UINT32",
        ElementType::U64 => "DT_UINT64",
        ElementType::Bool => "DT_BOOL",
        ElementType::String => "DT_STRING",
    }
}
