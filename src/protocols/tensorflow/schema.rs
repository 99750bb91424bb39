//! JSON Schema of the requests and responses of one model, by row.

use serde_json::{Map, Value, json};

use super::wire::BYTES_SUFFIX;
use crate::{
    codec::{
        Model,
        json_schema::{
            FEATURES, SchemaPlace, Schemas, VALUES, feature_names, input, input_element, nested, object,
            output_element,
        },
    },
    edge::DescribedModel,
    model::{Constants, Contract, Dimension, Layout, RowInputs, Signature, ValueKind, ValueSpec},
};

/// The schema of a request by row.
pub(in crate::protocols) const REQUEST: &str = "InstancesRequest";
/// The schema of a response by row.
pub(in crate::protocols) const RESPONSE: &str = "Predictions";
/// The schema of `instances`.
pub(in crate::protocols) const INSTANCES: &str = "Instances";

/// Returns the schemas of requests and responses by row. The schemas of rows are those of `codec`.
pub(in crate::protocols) fn schemas(
    model: Model<'_>,
    constants: &Constants,
    place: SchemaPlace<'_>,
) -> Schemas {
    let properties = Map::from_iter([("instances".to_owned(), place.reference(INSTANCES))]);
    vec![
        (INSTANCES, instances(model, place)),
        (REQUEST, object(properties, &["instances"])),
        (RESPONSE, response(model.signature, model.contract, constants)),
    ]
}

/// Returns true if the model takes rows in these protocols: every input has one part for each, and no output prevents it.
pub(in crate::protocols) fn carries(model: DescribedModel<'_>) -> bool {
    let has_rows = |spec: &ValueSpec| match &spec.kind {
        ValueKind::Tensor { shape, .. } => matches!(shape.first(), Some(Dimension::Dynamic(_))),
        _ => false,
    };
    model.takes_instances && model.model.signature.inputs.iter().all(has_rows)
}

/// Returns a request of one row that the model should accept; `None` if there is no short one.
pub(in crate::protocols) fn example(model: DescribedModel<'_>) -> Option<Value> {
    let row = model.example?.native.get("features")?;
    Some(json!({"instances": [row]}))
}

/// Returns the schema of a list of rows. All have the form of the first: rows of features, or of each input.
fn instances(model: Model<'_>, place: SchemaPlace<'_>) -> Value {
    let Model { signature, layout, contract } = model;
    let mut forms = Vec::new();
    match layout.map(|layout| (layout, &layout.inputs)) {
        None => forms.push(row_of_inputs(signature, contract)),
        Some((layout, inputs)) => {
            if names_values(layout, contract) {
                forms.push(place.reference(FEATURES));
            }
            match inputs {
                RowInputs::Matrix { input, element_type, flat: true, .. } => {
                    forms.extend([
                        input_element(input, *element_type, Some(1), contract),
                        place.reference(VALUES),
                    ]);
                }
                // A list is a part of the tensor, to which the limits of features do not apply.
                RowInputs::Matrix { input, element_type, columns, .. } => {
                    let element = input_element(input, *element_type, Some(*columns), contract);
                    forms.push(nested(element, &[Dimension::Fixed(*columns)]));
                }
                RowInputs::Columns(_) => forms.push(place.reference(VALUES)),
            }
        }
    }
    let list = |items: Value| json!({"type": "array", "items": items, "minItems": 1});
    let mut lists: Vec<Value> = forms.into_iter().map(list).collect();
    if lists.len() == 1 { lists.remove(0) } else { json!({"anyOf": lists}) }
}

/// Returns true if rows can be objects of values by feature name.
pub(in crate::protocols) fn names_values(layout: &Layout, contract: &Contract) -> bool {
    !feature_names(layout, contract).is_empty()
}

/// Returns the schema of one row of each input: bare if there is one input, else by name.
fn row_of_inputs(signature: &Signature, contract: &Contract) -> Value {
    let row = |spec: &ValueSpec| match &spec.kind {
        ValueKind::Tensor { element_type, shape } if !shape.is_empty() => {
            let row = shape.get(1..).unwrap_or_default();
            input(&ValueSpec::tensor(spec.name.as_str(), *element_type, row.to_vec()), contract)
        }
        _ => json!({}),
    };
    match signature.inputs.as_slice() {
        [only] => row(only),
        inputs => {
            let properties: Map<String, Value> =
                inputs.iter().map(|spec| (spec.name.clone(), row(spec))).collect();
            let required = inputs.iter().filter(|spec| !spec.is_optional());
            let required: Vec<&str> = required.map(|spec| spec.name.as_str()).collect();
            object(properties, &required)
        }
    }
}

fn response(signature: &Signature, contract: &Contract, constants: &Constants) -> Value {
    let output = |(index, spec): (usize, &ValueSpec)| {
        if constants.contains(index) {
            whole(&spec.kind, &spec.name, contract)
        } else {
            row(&spec.kind, &spec.name, contract)
        }
    };
    let prediction = match signature.outputs.as_slice() {
        [only] => output((0, only)),
        outputs => {
            let properties: Map<String, Value> = outputs
                .iter()
                .enumerate()
                .map(|(index, spec)| (spec.name.clone(), output((index, spec))))
                .collect();
            let required: Vec<&str> = outputs.iter().map(|spec| spec.name.as_str()).collect();
            object(properties, &required)
        }
    };
    let predictions = json!({"type": "array", "items": prediction});
    object(Map::from_iter([("predictions".to_owned(), predictions)]), &["predictions"])
}

/// Returns the schema of one row of an output.
fn row(kind: &ValueKind, name: &str, contract: &Contract) -> Value {
    match kind {
        ValueKind::Tensor { shape, .. } if shape.is_empty() => json!({}),
        ValueKind::Tensor { element_type, shape } => {
            let row = ValueKind::Tensor {
                element_type: *element_type,
                shape: shape.get(1..).unwrap_or_default().to_vec(),
            };
            lists(&row, name, contract)
        }
        ValueKind::Sequence(items) => match &**items {
            map @ ValueKind::Map { .. } => lists(map, name, contract),
            item => json!({"type": "array", "items": row(item, name, contract)}),
        },
        ValueKind::Map { .. } | ValueKind::Optional(_) => json!({}),
    }
}

/// Returns the schema of a whole value.
fn whole(kind: &ValueKind, name: &str, contract: &Contract) -> Value {
    match kind {
        ValueKind::Tensor { shape, .. } if shape.is_empty() => json!({}),
        ValueKind::Sequence(items) => json!({"type": "array", "items": whole(items, name, contract)}),
        ValueKind::Optional(_) => json!({}),
        other => lists(other, name, contract),
    }
}

/// Returns the schema of a tensor of exactly these dimensions as nested lists, or of a map.
fn lists(kind: &ValueKind, name: &str, contract: &Contract) -> Value {
    match kind {
        ValueKind::Tensor { element_type, shape } => {
            let mut items = output_element(*element_type, contract);
            if items["type"] == "string" && name.ends_with(BYTES_SUFFIX) {
                items = object(Map::from_iter([("b64".to_owned(), items)]), &["b64"]);
            }
            shape.iter().fold(items, |items, _| json!({"type": "array", "items": items}))
        }
        ValueKind::Map { value, .. } => {
            json!({"type": "object", "additionalProperties": output_element(*value, contract)})
        }
        _ => json!({}),
    }
}
