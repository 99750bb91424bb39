//! JSON Schema of the requests and responses of one model: frames of rows, or a list of them.

use serde_json::{Map, Value, json};

use crate::{
    codec::json_schema::{
        FEATURES, MAX_COLUMNS, SchemaPlace, Schemas, VALUES, feature_names, object, one_of, row_schemas,
    },
    edge::{DescribedModel, ModelDescription, OperationPaths, OperationSchemas},
    protocols::tensorflow::schema::{INSTANCES, RESPONSE, carries, schemas},
};

/// The schema of a request.
const REQUEST: &str = "InvocationRequest";

/// Describes predictions with one model at these paths.
pub(in crate::protocols) fn describe(
    model: DescribedModel<'_>,
    paths: OperationPaths,
    place: SchemaPlace<'_>,
) -> ModelDescription {
    if !carries(model) {
        return ModelDescription::default();
    }
    let invoke =
        OperationSchemas { action: "invoke", request: REQUEST, response: RESPONSE, example: example(model) };
    let mut all = schemas(model.model, model.constants, place);
    if let Some(layout) = model.model.layout {
        all.extend(row_schemas(layout, model.model.contract, place));
    }
    all.extend(requests(model, place));
    ModelDescription { operations: invoke.at(paths, model, place), schemas: all }
}

fn requests(model: DescribedModel<'_>, place: SchemaPlace<'_>) -> Schemas {
    let list = |items| json!({"type": "array", "items": items, "minItems": 1});
    let mut requests = Schemas::new();
    let names = model.model.layout.map(|layout| feature_names(layout, model.model.contract));
    if let Some(names) = names.filter(|names| !names.is_empty() && names.len() <= MAX_COLUMNS) {
        // The names of columns are not read if the contract names no features.
        let columns = if model.model.contract.features.is_empty() { json!({}) } else { columns(&names) };
        let frame = [("columns", columns), ("data", list(place.reference(VALUES)))];
        let frame = frame.map(|(name, schema)| (name.to_owned(), schema)).into_iter().collect();
        requests.push(("SplitRequest", only("dataframe_split", object(frame, &["data"]))));
        requests.push(("RecordsRequest", only("dataframe_records", list(place.reference(FEATURES)))));
    }
    requests.push(("ListRequest", only("instances", place.reference(INSTANCES))));
    one_of(REQUEST, requests, place)
}

/// Returns the schema of the names of all columns, in the order of the model.
fn columns(names: &[&str]) -> Value {
    let each: Vec<Value> = names.iter().map(|name| json!({"const": name})).collect();
    json!({
        "type": ["array", "null"],
        "prefixItems": each,
        "minItems": names.len(),
        "maxItems": names.len(),
    })
}

fn only(name: &str, schema: Value) -> Value {
    object(Map::from_iter([(name.to_owned(), schema)]), &[name])
}

/// Returns a request of one row that the model should accept; `None` if there is no short one.
fn example(model: DescribedModel<'_>) -> Option<Value> {
    let row = model.example?.native.get("features")?;
    let member = if row.is_object() { "dataframe_records" } else { "instances" };
    Some(Map::from_iter([(member.to_owned(), json!([row]))]).into())
}
