//! JSON Schema of the inference requests and responses of one model.

use serde_json::{Map, Value, json};

use crate::{
    codec::{
        Model,
        json_schema::{Schemas, input_element, object, open_object, output_element, row_width},
    },
    model::{Contract, Dimension, ElementType, ValueSpec},
};

/// The schema of a request.
pub(super) const REQUEST: &str = "InferRequest";
/// The schema of a response.
pub(super) const RESPONSE: &str = "InferResponse";

/// Most tensors that are described one by one.
const MAX_TENSORS: usize = 16;

/// Returns the schemas of requests and responses.
pub(super) fn schemas(name: &str, model: Model<'_>) -> Schemas {
    let Model { signature, contract, .. } = model;
    let required = signature.inputs.iter().filter(|spec| !spec.is_optional()).count();
    let inputs = json!({
        "type": "array",
        "items": tensors(&signature.inputs, |spec| input(spec, contract)),
        "minItems": required,
        "maxItems": signature.inputs.len(),
    });
    let requested = json!({"type": ["array", "null"], "items": generic("RequestedOutputDocument")});
    let outputs = json!({
        "type": "array",
        "items": tensors(&signature.outputs, |spec| output(spec, contract)),
    });
    let id = || ("id".to_owned(), json!({"type": ["string", "null"]}));
    let request = [
        id(),
        ("parameters".to_owned(), parameters()),
        ("inputs".to_owned(), inputs),
        ("outputs".to_owned(), requested),
    ];
    let response = [
        id(),
        ("model_name".to_owned(), json!({"const": name})),
        ("model_version".to_owned(), json!({"type": "string"})),
        ("outputs".to_owned(), outputs),
    ];
    vec![
        (REQUEST, open_object(request.into_iter().collect(), &["inputs"])),
        (RESPONSE, object(response.into_iter().collect(), &["model_name", "model_version", "outputs"])),
    ]
}

/// Returns a reference to the schema that all models share.
fn generic(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn parameters() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": generic("ParameterDocument")})
}

/// Returns the schema of one of these tensors.
fn tensors(specs: &[ValueSpec], tensor: impl Fn(&ValueSpec) -> Option<Value>) -> Value {
    let described: Option<Vec<Value>> = specs.iter().map(tensor).collect();
    match described.filter(|tensors| tensors.len() <= MAX_TENSORS) {
        Some(tensors) if tensors.len() == 1 => tensors.into_iter().next().unwrap_or_default(),
        Some(tensors) => json!({"anyOf": tensors}),
        None => generic("TensorDocument"),
    }
}

/// Returns the schema of an input; `None` if the protocol cannot carry it.
fn input(spec: &ValueSpec, contract: &Contract) -> Option<Value> {
    let (element_type, dimensions) = spec.as_tensor()?;
    let mut shape = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
    if !dimensions.is_empty() {
        shape["minItems"] = dimensions.len().into();
        shape["maxItems"] = dimensions.len().into();
    }
    if let [Dimension::Fixed(only)] = dimensions {
        shape["items"] = json!({"const": only});
    }
    let data = json!({"type": "array", "items": input_element(&spec.name, element_type, row_width(dimensions), contract)});
    Some(tensor(spec, element_type, shape, data, &["name", "shape", "datatype", "data"]))
}

/// Returns the schema of an output, whose elements may follow as bytes; `None` if the protocol cannot carry it.
fn output(spec: &ValueSpec, contract: &Contract) -> Option<Value> {
    let (element_type, _) = spec.as_tensor()?;
    let shape = json!({"type": "array", "items": {"type": "integer"}});
    let data = json!({"type": "array", "items": output_element(element_type, contract)});
    let mut tensor = tensor(spec, element_type, shape, data, &["name", "shape", "datatype"]);
    // The extension `classification` turns an output into texts.
    if element_type != ElementType::String {
        tensor["properties"]["datatype"] = json!({"enum": [element_type.name(), "BYTES"], "type": "string"});
        tensor["properties"]["data"]["items"] =
            json!({"anyOf": [output_element(element_type, contract), {"type": "string"}]});
    }
    Some(tensor)
}

fn tensor(
    spec: &ValueSpec,
    element_type: ElementType,
    shape: Value,
    data: Value,
    required: &[&str],
) -> Value {
    let properties: Map<String, Value> = [
        ("name".to_owned(), json!({"const": spec.name})),
        ("shape".to_owned(), shape),
        ("datatype".to_owned(), json!({"const": element_type.name()})),
        ("parameters".to_owned(), parameters()),
        ("data".to_owned(), data),
    ]
    .into_iter()
    .collect();
    let mut schema = open_object(properties, required);
    schema["description"] = spec.kind.to_string().into();
    schema
}
