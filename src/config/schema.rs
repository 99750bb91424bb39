//! The JSON schema of the settings, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    Settings,
    known_keys::{FILE_SUFFIX, FROM_FILE},
};

/// Returns the schema of a settings file (JSON Schema, draft 2020-12), with the default of every setting.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>().to_value();
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    complete(&mut schema, Some(&defaults));
    for key in FROM_FILE {
        add_file(&mut schema, key);
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "Settings of onnx-gateway".into());
    }
    schema
}

/// Makes a schema that serde's defaults would leave open say all: no other keys, nothing required, no null, and the
/// default of each setting.
pub(crate) fn complete(schema: &mut Value, default: Option<&Value>) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("required");
    object.remove("format");
    drop_null(object);
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (name, property) in properties {
            complete(property, default.and_then(|default| default.get(name)));
        }
        object.insert("additionalProperties".to_owned(), false.into());
        return;
    }
    if let Some(entries) = object.get_mut("additionalProperties").filter(|entries| entries.is_object()) {
        complete(entries, None);
        return;
    }
    if let Some(items) = object.get_mut("items") {
        // An entry of a list has no defaults: what it requires stays required.
        let required = items.get("required").cloned();
        complete(items, None);
        if let (Some(required), Some(items)) = (required, items.as_object_mut()) {
            items.insert("required".to_owned(), required);
        }
    }
    if let Some(default) = default.filter(|default| !default.is_null()) {
        object.insert("default".to_owned(), default.clone());
    }
}

/// TOML has no null: an optional setting is left out.
fn drop_null(object: &mut Map<String, Value>) {
    object.retain(|key, value| key != "default" || !value.is_null());
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    if let Some(Value::Array(mut forms)) = object.remove("anyOf") {
        forms.retain(|form| form.get("type") != Some(&"null".into()));
        match forms.as_mut_slice() {
            [Value::Object(only)] => only.iter().for_each(|(key, value)| {
                object.entry(key.clone()).or_insert_with(|| value.clone());
            }),
            _ => drop(object.insert("anyOf".to_owned(), forms.into())),
        }
    }
}

/// Adds the setting that names a file with the value of another one.
fn add_file(schema: &mut Value, key: &str) {
    let mut section = schema;
    let names: Vec<&str> = key.split('.').collect();
    let Some((name, path)) = names.split_last() else { return };
    for part in path {
        let inner = if *part == "*" {
            section.get_mut("additionalProperties")
        } else {
            section.get_mut("properties").and_then(|properties| properties.get_mut(*part))
        };
        match inner {
            Some(inner) => section = inner,
            None => return,
        }
    }
    let file = json!({"description": format!("The path of a file that holds `{name}`."), "type": "string"});
    if let Some(properties) = section.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(format!("{name}{FILE_SUFFIX}"), file);
    }
}
