//! JSON Schema of the native requests and responses of one model.

use serde_json::{Map, Value, json};

use crate::{
    codec::{
        Model,
        json_schema::{
            MAX_COLUMNS, ROW, SchemaPlace, Schemas, allowed_texts, have_distinct_names, inputs, list_or_bare,
            object, one_of, output_element, outputs, row_schemas, row_width, type_name,
        },
    },
    model::{Contract, Labels, Layout, Output, ValueKind, ValueSpec},
};

/// The schema of a request.
pub(super) const REQUEST: &str = "PredictRequest";
/// The schema of a response.
pub(super) const RESPONSE: &str = "PredictResponse";

/// Returns the schemas of requests and responses, and those that they refer to.
pub(super) fn schemas(name: &str, model: Model<'_>, place: SchemaPlace<'_>) -> Schemas {
    let Model { signature, contract, .. } = model;
    let mut requests = vec![("TensorsRequest", one_member("inputs", inputs(signature, contract)))];
    let mut responses = vec![("TensorsResponse", tensors_response(name, model))];
    let mut parts = Schemas::new();
    if let Some(layout) = model.layout {
        parts.extend(row_schemas(layout, contract, place));
        let row = || place.reference(ROW);
        let rows = json!({"type": "array", "items": row(), "minItems": 1});
        requests.insert(0, ("RowsRequest", one_member("instances", rows)));
        requests.insert(0, ("RowRequest", one_member("features", row())));
        parts.push(("Result", result(model, layout, Map::new())));
        let mut many = head(name);
        many.insert("predictions".to_owned(), json!({"type": "array", "items": place.reference("Result")}));
        responses.insert(0, ("RowsResponse", object(many, &["model", "version", "predictions"])));
        responses.insert(0, ("RowResponse", row_response(name, model, layout)));
    }
    parts.extend(one_of(REQUEST, requests, place));
    parts.extend(one_of(RESPONSE, responses, place));
    parts
}

/// Returns the schema of the response to one row, which refers to no other.
pub(in crate::protocols) fn row_response(name: &str, model: Model<'_>, layout: &Layout) -> Value {
    result(model, layout, head(name))
}

/// Returns the schema of the response to tensors, which refers to no other.
pub(in crate::protocols) fn tensors_response(name: &str, model: Model<'_>) -> Value {
    let mut members = head(name);
    members.insert("outputs".to_owned(), outputs(model.signature, model.contract));
    object(members, &["model", "version", "outputs"])
}

fn head(name: &str) -> Map<String, Value> {
    let version = json!({"type": "string", "description": "The version that ran"});
    [("model".to_owned(), json!({"const": name})), ("version".to_owned(), version)].into_iter().collect()
}

fn one_member(name: &str, schema: Value) -> Value {
    object(Map::from_iter([(name.to_owned(), schema)]), &[name])
}

/// Returns the schema of the result of one row, with these members beside it.
fn result(model: Model<'_>, layout: &Layout, mut properties: Map<String, Value>) -> Value {
    let Model { signature, contract, .. } = model;
    let mut others = Map::new();
    for (spec, role) in signature.outputs.iter().zip(&layout.outputs) {
        match role {
            Output::Prediction => properties.insert("prediction".to_owned(), prediction(spec, contract)),
            Output::Probabilities => {
                properties.insert("probabilities".to_owned(), probabilities(spec, contract))
            }
            Output::Other => others.insert(spec.name.clone(), row_value(spec, contract)),
            Output::Constant => others.insert(spec.name.clone(), whole(&spec.kind, contract)),
        };
    }
    if !others.is_empty() {
        let names: Vec<String> = others.keys().cloned().collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        properties.insert("outputs".to_owned(), object(others, &names));
    }
    let required: Vec<String> = properties.keys().cloned().collect();
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    object(properties, &required)
}

/// Returns the schema of a prediction: a class, or the value of the output.
fn prediction(spec: &ValueSpec, contract: &Contract) -> Value {
    let Some((element_type, shape)) = spec.as_tensor() else { return row_value(spec, contract) };
    let is_label = matches!(type_name(element_type), "integer" | "string");
    let label = match (&contract.classes, &contract.graph.labels) {
        (classes, _) if is_label && !classes.is_empty() => Some(classes_schema(classes)),
        (_, Some(Labels::Texts(texts))) if type_name(element_type) == "string" => Some(classes_schema(texts)),
        // Some exporters write positions in the list of labels, so whole numbers need not be labels.
        _ => None,
    };
    let label = label.unwrap_or_else(|| output_element(element_type, contract));
    list_or_bare(label, row_width(shape))
}

fn classes_schema(classes: &[String]) -> Value {
    let mut schema = json!({"type": "string"});
    if let Some(classes) = allowed_texts(classes) {
        schema["enum"] = classes;
    }
    schema
}

/// Returns the schema of one probability for each class.
fn probabilities(spec: &ValueSpec, contract: &Contract) -> Value {
    let names = contract.column_names();
    let by_name = |score: &Value, is_complete: bool| {
        if names.len() > MAX_COLUMNS || !have_distinct_names(&names) {
            return json!({"type": "object", "additionalProperties": score});
        }
        let properties: Map<String, Value> = names.iter().map(|name| (name.clone(), score.clone())).collect();
        let required: Vec<&str> = names.iter().map(String::as_str).collect();
        if is_complete {
            object(properties, &required)
        } else {
            json!({"type": "object", "properties": properties, "additionalProperties": score})
        }
    };
    match &spec.kind {
        ValueKind::Tensor { element_type, shape } => {
            let score = output_element(*element_type, contract);
            match row_width(shape) {
                _ if names.is_empty() => list_or_bare(score, row_width(shape)),
                Some(width) if width == names.len() => by_name(&score, true),
                Some(width) => list_or_bare(score, Some(width)),
                None => {
                    let list = json!({"type": "array", "items": score.clone()});
                    json!({"anyOf": [by_name(&score, true), list, score]})
                }
            }
        }
        ValueKind::Sequence(items) => match &**items {
            ValueKind::Map { value, .. } => by_name(&output_element(*value, contract), false),
            _ => row_value(spec, contract),
        },
        _ => row_value(spec, contract),
    }
}

/// Returns the schema of one row of an output.
fn row_value(spec: &ValueSpec, contract: &Contract) -> Value {
    match &spec.kind {
        ValueKind::Tensor { element_type, shape } => {
            list_or_bare(output_element(*element_type, contract), row_width(shape))
        }
        ValueKind::Sequence(items) => match &**items {
            ValueKind::Map { value, .. } => {
                json!({"type": "object", "additionalProperties": output_element(*value, contract)})
            }
            ValueKind::Tensor { element_type, shape } => {
                let row = list_or_bare(output_element(*element_type, contract), row_width(shape));
                json!({"type": "array", "items": row})
            }
            _ => json!({}),
        },
        _ => json!({}),
    }
}

/// Returns the schema of an output that each row repeats whole.
fn whole(kind: &ValueKind, contract: &Contract) -> Value {
    match kind {
        ValueKind::Tensor { element_type, shape } if !shape.is_empty() => {
            let element = output_element(*element_type, contract);
            shape.iter().rev().fold(element, |items, _| json!({"type": "array", "items": items}))
        }
        ValueKind::Sequence(items) => json!({"type": "array", "items": whole(items, contract)}),
        ValueKind::Map { value, .. } => {
            json!({"type": "object", "additionalProperties": output_element(*value, contract)})
        }
        _ => json!({}),
    }
}
