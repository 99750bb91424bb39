//! The JSON schema of `model.toml`, for editors.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

use super::{GOLDEN_FILE, ModelConfig};
use crate::{config::complete_schema, model::ContractDocument};

/// Returns the schema of `model.toml` (JSON Schema, draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<ModelConfig>().to_value();
    complete_schema(&mut schema, None);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "model.toml of onnx-gateway".into());
    }
    schema
}

/// Returns the schema of a selection of versions.
pub(super) fn versions(_: &mut SchemaGenerator) -> Schema {
    let number = json!({"type": "integer", "minimum": 0});
    json_schema!({
        "anyOf": [{"const": "latest"}, number.clone(), {"type": "array", "items": number, "minItems": 1}],
        "default": "latest",
    })
}

/// Returns the schema of one digest, or a list of them.
pub(super) fn digests(_: &mut SchemaGenerator) -> Schema {
    let digest = json!({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"});
    json_schema!({"anyOf": [digest.clone(), {"type": "array", "items": digest}]})
}

/// Returns the schema of a contract, with the name of a file for its golden cases.
pub(super) fn contract(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<ContractDocument>();
    let file = json!({
        "description": "The file with the golden cases, as JSON, in the model's folder.",
        "type": "string",
    });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(GOLDEN_FILE.to_owned(), file);
    }
    schema
}
