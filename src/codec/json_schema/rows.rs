//! JSON Schema of rows.

use serde_json::{Value, json};

use super::{MAX_COLUMNS, SchemaPlace, Schemas, cell, object};
use crate::model::{Contract, Layout};

/// The schema of a row.
pub(crate) const ROW: &str = "Row";

/// The schema of a row of values by feature name.
pub(crate) const FEATURES: &str = "Features";

/// The schema of a row of values in the order of the columns.
pub(crate) const VALUES: &str = "Values";

/// Returns the schemas of a row: values by feature name, values in order, and either of them.
pub(crate) fn row_schemas(layout: &Layout, contract: &Contract, place: SchemaPlace<'_>) -> Schemas {
    let names = feature_names(layout, contract);
    let mut schemas = vec![(VALUES, values(layout, contract))];
    let mut forms = vec![place.reference(VALUES)];
    if !names.is_empty() {
        schemas.insert(0, (FEATURES, features(&names, layout, contract)));
        forms.insert(0, place.reference(FEATURES));
    }
    let row = if forms.len() == 1 { forms.remove(0) } else { json!({"anyOf": forms}) };
    schemas.push((ROW, row));
    schemas
}

/// Returns the names of the columns; none if a row cannot name its values.
pub(crate) fn feature_names<'m>(layout: &'m Layout, contract: &'m Contract) -> Vec<&'m str> {
    match layout.only_column() {
        Some(input) if contract.features.is_empty() => vec![input],
        _ => contract.features.iter().map(|feature| feature.name.as_str()).collect(),
    }
}

/// Returns the schema of a row of values by feature name.
fn features(names: &[&str], layout: &Layout, contract: &Contract) -> Value {
    let description = "One row, by feature name";
    if names.len() > MAX_COLUMNS {
        return json!({"type": "object", "description": description});
    }
    let property = |(column, name): (usize, &&str)| ((*name).to_owned(), cell(column, layout, contract));
    let properties = names.iter().enumerate().map(property).collect();
    let required = names.iter().enumerate().filter(|(column, _)| layout.fill(*column).is_none());
    let required: Vec<&str> = required.map(|(_, name)| *name).collect();
    let mut schema = object(properties, &required);
    schema["description"] = description.into();
    schema
}

/// Returns the schema of a row of values in the order of the columns.
fn values(layout: &Layout, contract: &Contract) -> Value {
    let columns = layout.columns();
    let mut schema = json!({"type": "array", "minItems": columns, "maxItems": columns});
    schema["description"] = "One row, in the order of the columns".into();
    if columns > MAX_COLUMNS || columns == 0 {
        return schema;
    }
    let mut cells: Vec<Value> = (0..columns).map(|column| cell(column, layout, contract)).collect();
    cells.dedup();
    match cells.as_slice() {
        [all] => schema["items"] = all.clone(),
        _ => {
            schema["prefixItems"] = (0..columns).map(|column| cell(column, layout, contract)).collect();
        }
    }
    schema
}
