//! One model as a tool: its name, description, arguments and results.
//!
//! The name of a tool is that of the model, unchanged: both have 1 to 128 of `A-Z a-z 0-9 . _ -` (MCP, "Tool Names").

use std::sync::Arc;

use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use crate::{
    codec::{
        Model,
        json_schema::{FEATURES, SchemaPlace, VALUES, feature_names, inputs, object, row_schemas},
    },
    model::{Layout, Output},
    protocols::{
        model_example::model_example,
        native::{row_response, tensors_response},
        tensorflow::run_inputs::model_of,
    },
    serving::Servable,
};

/// Most bytes of a tool. A longer one gets schemas that say no more than `object`.
const MAX_TOOL_BYTES: usize = 256 * 1024;

/// Most classes that a description names, and the most bytes of all their names.
const MAX_CLASSES: usize = 20;
const MAX_CLASS_BYTES: usize = 512;

/// The schemas of one model refer to no others.
const NOWHERE: SchemaPlace<'_> = SchemaPlace("#/$defs/");

/// The form of a tool's arguments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arguments<'m> {
    /// One row: an argument for each feature.
    Features(&'m Layout),
    /// One row without names, as `features`.
    Values(&'m Layout),
    /// Tensors by input name, as `inputs`.
    Tensors,
}

impl<'m> Arguments<'m> {
    /// Returns the form that a model takes.
    pub(super) fn of(model: Model<'m>) -> Self {
        match model.layout {
            Some(layout) if feature_names(layout, model.contract).is_empty() => Self::Values(layout),
            Some(layout) => Self::Features(layout),
            None => Self::Tensors,
        }
    }
}

/// Writes a version as a tool; `None` if that fails, which does not happen.
pub(super) fn tool(servable: &Servable) -> Option<Box<RawValue>> {
    written(described(servable))
}

fn written(mut tool: Tool) -> Option<Box<RawValue>> {
    let written = to_raw_value(&tool).ok()?;
    if written.get().len() <= MAX_TOOL_BYTES {
        return Some(written);
    }
    tool.input_schema = Arc::new(Map::from_iter([("type".to_owned(), json!("object"))]));
    tool.output_schema = None;
    to_raw_value(&tool).ok()
}

fn described(servable: &Servable) -> Tool {
    let model = model_of(servable);
    let name = servable.name.as_str();
    let arguments = Arguments::of(model);
    let output = match arguments {
        Arguments::Features(layout) | Arguments::Values(layout) => row_response(name, model, layout),
        Arguments::Tensors => tensors_response(name, model),
    };
    let mut input = schema(arguments, model);
    if let Some(example) = example(arguments, model) {
        input.insert("examples".to_owned(), json!([example]));
    }
    let mut tool = Tool::new(name.to_owned(), description(name, arguments, model), input);
    tool.output_schema = Some(Arc::new(members(output)));
    tool.annotations =
        Some(ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false));
    let version = [
        ("onnx-gateway/version", servable.version.to_string()),
        ("onnx-gateway/digest", servable.digest().short()),
    ];
    let version = version.map(|(name, value)| (name.to_owned(), value.into()));
    tool.meta = Some(MetaObject(version.into_iter().collect()));
    tool
}

/// Returns the schema of the arguments.
fn schema(arguments: Arguments<'_>, model: Model<'_>) -> JsonObject {
    let row = |layout, wanted| {
        let mut schemas = row_schemas(layout, model.contract, NOWHERE).into_iter();
        schemas.find(|(name, _)| *name == wanted).map(|(_, schema)| schema).unwrap_or_default()
    };
    let only = |name: &str, schema| object(Map::from_iter([(name.to_owned(), schema)]), &[name]);
    members(match arguments {
        Arguments::Features(layout) => row(layout, FEATURES),
        Arguments::Values(layout) => only("features", row(layout, VALUES)),
        Arguments::Tensors => only("inputs", inputs(model.signature, model.contract)),
    })
}

fn members(schema: Value) -> JsonObject {
    match schema {
        Value::Object(members) => members,
        _ => JsonObject::new(),
    }
}

/// Returns arguments that the model should accept; `None` if there are no short ones.
fn example(arguments: Arguments<'_>, model: Model<'_>) -> Option<Value> {
    let native = model_example(model)?.native;
    match arguments {
        Arguments::Features(_) => native.get("features").filter(|row| row.is_object()).cloned(),
        Arguments::Values(_) | Arguments::Tensors => Some(native),
    }
}

fn description(name: &str, arguments: Arguments<'_>, model: Model<'_>) -> String {
    let takes = match arguments {
        Arguments::Features(_) => "one row, an argument for each feature",
        Arguments::Values(_) => "one row, a list of values in the order of the columns",
        Arguments::Tensors => "a tensor for each input, by name, as nested lists",
    };
    let returns = match arguments {
        Arguments::Features(layout) | Arguments::Values(layout) => results(layout, model),
        Arguments::Tensors => "every output as a tensor, by name".to_owned(),
    };
    format!("Predicts with the model `{name}`. Takes {takes}. Returns {returns}.")
}

/// Returns a list of the results for a row.
fn results(layout: &Layout, model: Model<'_>) -> String {
    let has = |role: &Output| layout.outputs.contains(role);
    let mut results = Vec::new();
    if has(&Output::Prediction) {
        let classes = model.contract.all_class_names();
        let bytes: usize = classes.iter().map(String::len).sum();
        results.push(if classes.is_empty() || classes.len() > MAX_CLASSES || bytes > MAX_CLASS_BYTES {
            "`prediction`".to_owned()
        } else {
            format!("`prediction`, one of {}", classes.join(", "))
        });
    }
    if has(&Output::Probabilities) {
        results.push("`probabilities` of the classes".to_owned());
    }
    if has(&Output::Other) || has(&Output::Constant) {
        results.push("`outputs` by name".to_owned());
    }
    results.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_too_long_keeps_its_name_and_an_open_schema() {
        let of = |bytes: usize| -> Value {
            let input = json!({"type": "object", "description": "x".repeat(bytes)});
            let mut tool = Tool::new("iris", "Predicts", members(input));
            tool.output_schema = Some(Arc::new(JsonObject::new()));
            serde_json::from_str(written(tool).unwrap().get()).unwrap()
        };
        assert!(of(1000)["outputSchema"].is_object());
        let cut = of(MAX_TOOL_BYTES);
        assert_eq!(
            cut,
            json!({"name": "iris", "description": "Predicts", "inputSchema": {"type": "object"}})
        );
    }
}
