//! JSON Schema (2020-12) of the values that requests and responses of one model hold.
//!
//! The schemas are exact where JSON Schema can say it: what they refuse the gateway refuses, and what they accept it
//! accepts. They cannot say that two dimensions are equal, or that all lists of a tensor have the same length.

mod rows;

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use crate::model::{
    ColumnFacts, Contract, Dimension, ElementType, Elements, Feature, Layout, Missing, Signature, ValueKind,
    ValueSpec,
};

pub(crate) use rows::{FEATURES, ROW, VALUES, feature_names, row_schemas};

/// Most columns of a row that are described one by one.
pub(crate) const MAX_COLUMNS: usize = 256;

/// Most values that a list of allowed values has.
const MAX_LISTED: usize = 64;

/// Most inputs or outputs that are described one by one.
const MAX_VALUES: usize = 64;

/// Longest text of a name, a unit or a value that is copied from a model.
const MAX_TEXT_BYTES: usize = 1024;

/// Named schemas, each of which others may refer to.
pub(crate) type Schemas = Vec<(&'static str, Value)>;

/// The place of named schemas in their document, which references begin with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchemaPlace<'p>(pub(crate) &'p str);

impl SchemaPlace<'_> {
    /// Returns a reference to the schema with this name.
    pub(crate) fn reference(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.0)})
    }
}

/// Returns the schema of an element of a tensor, within the range of its type.
pub(crate) fn element(element_type: ElementType) -> Value {
    bounded(element_type, None, None)
}

/// Returns the schema of an element of an input with this number of columns. If the graph lists the only values that all
/// columns take, an element is one of these. `NaN` stands for a value that is missing, if the graph handles such values.
pub(crate) fn input_element(
    input: &str,
    element_type: ElementType,
    columns: Option<usize>,
    contract: &Contract,
) -> Value {
    let mut schema = element(element_type);
    let mut known = contract.graph.columns.iter().filter(|(name, ..)| *name == input);
    let facts = match (known.next(), known.next()) {
        (Some((_, None, facts)), None) => Some(facts),
        (Some((_, Some(0), facts)), None) if columns == Some(1) => Some(facts),
        _ => None,
    };
    if let Some(values) = facts.and_then(|facts| closed_categories(facts, element_type)) {
        schema["enum"] = values;
    }
    let mut known = contract.graph.columns.iter();
    if element_type.is_float() && known.any(|(name, _, facts)| name == input && facts.missing) {
        return json!({"anyOf": [schema, {"const": "NaN"}]});
    }
    schema
}

/// Returns the schema of an element of an output: a number, a text, true or false. The texts `NaN`, `Infinity` and
/// `-Infinity` stand for these numbers where outputs may hold them.
pub(crate) fn output_element(element_type: ElementType, contract: &Contract) -> Value {
    let kind = type_name(element_type);
    if element_type.is_float() && contract.allows_non_finite() {
        json!({"anyOf": [{"type": kind}, {"enum": ["NaN", "Infinity", "-Infinity"], "type": "string"}]})
    } else {
        json!({"type": kind})
    }
}

/// Returns the schema of a column's value in a row: within the limits of the contract, null if the value may be missing.
pub(crate) fn cell(column: usize, layout: &Layout, contract: &Contract) -> Value {
    let element_type = layout.element_type(column).unwrap_or(ElementType::F32);
    let feature = contract.features.get(column);
    let (minimum, maximum) = feature.map_or((None, None), |feature| (feature.minimum, feature.maximum));
    let mut schema = bounded(element_type, minimum, maximum);
    let facts = layout.place(column).and_then(|(input, place)| contract.graph.columns.get(input, place));
    if let Some(values) = facts.and_then(|facts| closed_categories(facts, element_type)) {
        schema["enum"] = values;
    }
    if let Some(feature) = feature {
        describe(&mut schema, feature);
    }
    if layout.fill(column).is_some() {
        schema["type"] = json!([type_name(element_type), "null"]);
        if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
        if let Some(Missing::Default(value)) = feature.map(|feature| &feature.missing) {
            schema["default"] = value.clone();
        }
    }
    schema
}

/// Adds the name and the unit of a feature.
fn describe(schema: &mut Value, feature: &Feature) {
    schema["title"] = short(&feature.name).into();
    if let Some(unit) = &feature.unit {
        schema["description"] = format!("in {}", short(unit)).into();
        schema["x-unit"] = short(unit).into();
    }
}

/// Returns the values of a column of which all others are errors; `None` if there are too many, or no such list.
fn closed_categories(facts: &ColumnFacts, element_type: ElementType) -> Option<Value> {
    let categories = facts.categories.as_ref().filter(|_| facts.is_closed)?;
    match categories {
        Elements::Texts(texts) if element_type == ElementType::String => allowed_texts(texts),
        Elements::Integers(numbers) if numbers.len() <= MAX_LISTED && !element_type.is_float() => {
            Some(json!(numbers))
        }
        _ => None,
    }
}

/// Returns texts as a list of allowed values; `None` if they are too many, too long, or do not make different names of
/// constants, which generators of clients derive from them.
pub(crate) fn allowed_texts(texts: &[String]) -> Option<Value> {
    let is_short = texts.len() <= MAX_LISTED && texts.iter().all(|text| text.len() <= MAX_TEXT_BYTES);
    (is_short && !texts.is_empty() && have_distinct_names(texts)).then(|| json!(texts))
}

/// Returns true if texts differ in their letters and digits: generators turn them into names, which have no others.
pub(crate) fn have_distinct_names(texts: &[String]) -> bool {
    let mut names: Vec<String> = texts.iter().map(|text| plain_name(text)).collect();
    names.sort_unstable();
    names.iter().all(|name| !name.is_empty()) && names.windows(2).all(|pair| pair[0] != pair[1])
}

fn plain_name(text: &str) -> String {
    let letters = text.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Returns the schema of a tensor as nested lists.
pub(crate) fn nested(element: Value, shape: &[Dimension]) -> Value {
    let innermost = shape.len().saturating_sub(1);
    shape.iter().enumerate().rev().fold(element, |items, (depth, dimension)| match dimension {
        Dimension::Fixed(size) => {
            json!({"type": "array", "items": items, "minItems": size, "maxItems": size})
        }
        // An empty list has no lists in it, and so fewer dimensions.
        Dimension::Dynamic(_) if depth < innermost => json!({"type": "array", "items": items, "minItems": 1}),
        Dimension::Dynamic(_) => json!({"type": "array", "items": items}),
    })
}

/// Returns the schema of tensors by input name, each as nested lists.
pub(crate) fn inputs(signature: &Signature, contract: &Contract) -> Value {
    if signature.inputs.len() > MAX_VALUES {
        return json!({"type": "object", "description": "A tensor for each input, by name"});
    }
    let mut properties = Map::new();
    for spec in &signature.inputs {
        properties.insert(spec.name.clone(), input(spec, contract));
    }
    let required = signature.inputs.iter().filter(|spec| !spec.is_optional());
    let required: Vec<&str> = required.map(|spec| spec.name.as_str()).collect();
    object(properties, &required)
}

/// Returns the schema of an input as nested lists.
pub(crate) fn input(spec: &ValueSpec, contract: &Contract) -> Value {
    let description = spec.kind.to_string();
    let Some((element_type, shape)) = spec.as_tensor() else {
        return json!({"description": format!("{description}: JSON cannot carry it")});
    };
    let mut schema = if shape.is_empty() {
        json!({"description": format!("{description}: of any shape")})
    } else {
        let mut schema = nested(input_element(&spec.name, element_type, row_width(shape), contract), shape);
        schema["description"] = description.into();
        schema
    };
    if spec.is_optional() && schema.get("type").is_some() {
        schema["type"] = json!(["array", "null"]);
    }
    schema
}

/// Returns the schema of a value of exactly one of these forms, and the forms. An only form has the name of the whole.
pub(crate) fn one_of(name: &'static str, mut forms: Schemas, place: SchemaPlace<'_>) -> Schemas {
    if let [(only, _)] = forms.as_mut_slice() {
        *only = name;
        return forms;
    }
    let references: Vec<Value> = forms.iter().map(|(form, _)| place.reference(form)).collect();
    forms.push((name, json!({"oneOf": references})));
    forms
}

/// Returns the schema of an object with these properties and no others.
pub(crate) fn object(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut schema = open_object(properties, required);
    schema["additionalProperties"] = false.into();
    schema
}

/// Returns the schema of an object with these properties, and perhaps others, which are ignored.
pub(crate) fn open_object(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "required": required});
    schema["properties"] = Value::Object(properties);
    schema
}

/// Returns the schema of an output in the response to tensors.
pub(crate) fn value_document(kind: &ValueKind, contract: &Contract) -> Value {
    let described = |mut schema: Value| {
        schema["description"] = kind.to_string().into();
        schema
    };
    let member = |name: &str, schema: Value| {
        let properties = Map::from_iter([(name.to_owned(), schema)]);
        described(object(properties, &[name]))
    };
    match kind {
        ValueKind::Tensor { element_type, .. } => {
            let properties = [
                ("datatype", json!({"const": element_type.name()})),
                ("shape", json!({"type": "array", "items": {"type": "integer"}})),
                ("data", json!({"type": "array", "items": output_element(*element_type, contract)})),
            ];
            let properties = properties.map(|(name, schema)| (name.to_owned(), schema));
            described(object(Map::from_iter(properties), &["datatype", "shape", "data"]))
        }
        ValueKind::Sequence(items) => {
            let items = value_document(items, contract);
            member("sequence", json!({"type": "array", "items": items}))
        }
        ValueKind::Map { value, .. } => {
            let values = output_element(*value, contract);
            member("map", json!({"type": "object", "additionalProperties": values}))
        }
        ValueKind::Optional(inner) => {
            json!({"anyOf": [value_document(inner, contract), {"type": "null"}]})
        }
    }
}

/// Returns the schemas of outputs by name, in the response to tensors.
pub(crate) fn outputs(signature: &Signature, contract: &Contract) -> Value {
    if signature.outputs.len() > MAX_VALUES {
        return json!({"type": "object", "description": "Every output, by name"});
    }
    let output = |spec: &ValueSpec| (spec.name.clone(), value_document(&spec.kind, contract));
    let properties: Map<String, Value> = signature.outputs.iter().map(output).collect();
    let required: Vec<&str> = signature.outputs.iter().map(|spec| spec.name.as_str()).collect();
    object(properties, &required)
}

/// Returns the element of a list of this many elements, or the list: one element is written bare. `None` is an unknown
/// number.
pub(crate) fn list_or_bare(element: Value, count: Option<usize>) -> Value {
    match count {
        Some(1) => element,
        Some(count) => {
            json!({"type": "array", "items": element, "minItems": count, "maxItems": count})
        }
        None => json!({"anyOf": [element.clone(), {"type": "array", "items": element}]}),
    }
}

/// Returns the number of elements that a row of an output of this shape has; `None` if it is not declared.
pub(crate) fn row_width(shape: &[Dimension]) -> Option<usize> {
    let (_, inner) = shape.split_first()?;
    inner.iter().try_fold(1_usize, |product, dimension| match dimension {
        Dimension::Fixed(size) => product.checked_mul(*size),
        Dimension::Dynamic(_) => None,
    })
}

/// Returns the name of a type in JSON Schema.
pub(crate) fn type_name(element_type: ElementType) -> &'static str {
    match element_type {
        ElementType::Bool => "boolean",
        ElementType::String => "string",
        float if float.is_float() => "number",
        _ => "integer",
    }
}

/// Returns the schema of a value of this type within these limits and those of the type.
fn bounded(element_type: ElementType, minimum: Option<f64>, maximum: Option<f64>) -> Value {
    let mut schema = json!({"type": type_name(element_type)});
    match element_type {
        ElementType::Bool => {}
        // A text must not hold NUL.
        ElementType::String => schema["pattern"] = r"^[^\u0000]*$".into(),
        float if float.is_float() => {
            let limit = first_too_large(float);
            match minimum.filter(|minimum| limit.is_none_or(|limit| *minimum > -limit)) {
                Some(minimum) => schema["minimum"] = tidy(minimum),
                None => set(&mut schema, "exclusiveMinimum", limit.map(|limit| -limit)),
            }
            match maximum.filter(|maximum| limit.is_none_or(|limit| *maximum < limit)) {
                Some(maximum) => schema["maximum"] = tidy(maximum),
                None => set(&mut schema, "exclusiveMaximum", limit),
            }
        }
        integer => {
            let (least, most) = integer_range(integer);
            schema["minimum"] = limit(minimum, &least, |limit, own| limit > own);
            schema["maximum"] = limit(maximum, &most, |limit, own| limit < own);
        }
    }
    schema
}

fn set(schema: &mut Value, keyword: &str, limit: Option<f64>) {
    if let Some(limit) = limit {
        schema[keyword] = tidy(limit);
    }
}

/// Returns the narrower of the contract's limit and the type's own.
fn limit(given: Option<f64>, own: &Value, is_narrower: impl Fn(f64, f64) -> bool) -> Value {
    let number = own.as_f64().unwrap_or_default();
    given.filter(|given| is_narrower(*given, number)).map_or_else(|| own.clone(), tidy)
}

/// Returns the least number that is rounded to infinity; `None` if JSON has no such number.
fn first_too_large(element_type: ElementType) -> Option<f64> {
    // Half of the distance between the greatest number and the next that there would be.
    match element_type {
        ElementType::F16 => Some(f16::MAX.to_f64() + 16.0),
        ElementType::Bf16 => Some(bf16::MAX.to_f64() + 2.0_f64.powi(119)),
        ElementType::F32 => Some(f64::from(f32::MAX) + 2.0_f64.powi(103)),
        _ => None,
    }
}

fn integer_range(element_type: ElementType) -> (Value, Value) {
    macro_rules! range {
        ($($variant:ident $type:ty),*) => {
            match element_type {
                $(ElementType::$variant => (<$type>::MIN.into(), <$type>::MAX.into()),)*
                ElementType::F16
                | ElementType::Bf16
                | ElementType::F32
                | ElementType::F64
                | ElementType::Bool
                | ElementType::String => (Value::Null, Value::Null),
            }
        };
    }
    crate::model::element_types!(integers => range)
}

/// Returns a number as JSON: whole numbers without a fraction.
fn tidy(number: f64) -> Value {
    /// 2⁵³: every whole number up to here is a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number that fits")]
    if number.fract() == 0.0 && number.abs() <= EXACT { json!(number as i64) } else { json!(number) }
}

/// Returns the beginning of a text, for people.
fn short(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, element_objection};

    /// Returns true if numbers within the schema's limits are exactly those that the gateway accepts.
    fn accepts(schema: &Value, number: f64) -> bool {
        let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        limit("minimum").is_none_or(|limit| number >= limit)
            && limit("maximum").is_none_or(|limit| number <= limit)
            && limit("exclusiveMinimum").is_none_or(|limit| number > limit)
            && limit("exclusiveMaximum").is_none_or(|limit| number < limit)
    }

    #[test]
    fn the_limits_of_floats_are_those_of_the_gateway() {
        let contracts =
            [(None, None), (Some(0.1), Some(15.0)), (Some(-1e39), Some(1e39)), (Some(-1e5), None)];
        for element_type in [ElementType::F16, ElementType::Bf16, ElementType::F32, ElementType::F64] {
            for (minimum, maximum) in contracts {
                let feature = Feature { minimum, maximum, ..Feature::new("x") };
                let schema = bounded(element_type, minimum, maximum);
                // Halves are rounded from 32-bit floats, so their limit is not that of the last 64-bit one.
                let of_type = first_too_large(element_type);
                let of_type = of_type.into_iter().flat_map(|edge| [edge, edge * (1.0 - 1e-7)]);
                let of_contract = [minimum, maximum, Some(0.0)].into_iter().flatten();
                let of_contract = of_contract.flat_map(|edge| [edge, edge.next_down(), edge.next_up()]);
                let numbers = of_type.chain(of_contract).flat_map(|number| [number, -number]);
                for number in numbers {
                    let objection = element_objection(&Cell::Float(number), element_type, Some(&feature));
                    assert_eq!(
                        accepts(&schema, number),
                        objection.is_none(),
                        "{element_type} {number} {schema}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_limits_of_whole_numbers_are_those_of_the_gateway() {
        for element_type in [ElementType::I8, ElementType::U8, ElementType::I32, ElementType::U32] {
            for (minimum, maximum) in [(None, None), (Some(-3.0), Some(3.5)), (Some(-1e12), Some(1e12))] {
                let feature = Feature { minimum, maximum, ..Feature::new("x") };
                let schema = bounded(element_type, minimum, maximum);
                for number in
                    [-2_147_483_649, -129, -128, -4, -3, -1, 0, 3, 4, 127, 255, 256, 4_294_967_296_i64]
                {
                    let cell = Cell::Integer(number.into());
                    let objection = element_objection(&cell, element_type, Some(&feature));
                    #[expect(clippy::cast_precision_loss, reason = "they are small")]
                    let accepted = accepts(&schema, number as f64);
                    assert_eq!(accepted, objection.is_none(), "{element_type} {number} {schema}");
                }
            }
        }
        let schema = element(ElementType::U64);
        assert_eq!(schema["maximum"], json!(u64::MAX), "every digit is kept");
    }

    #[test]
    fn tensors_are_lists_as_deep_as_their_shape() {
        let shape =
            [Dimension::Dynamic("N".to_owned()), Dimension::Fixed(2), Dimension::Dynamic(String::new())];
        let schema = nested(json!(true), &shape);
        let innermost = json!({"type": "array", "items": true});
        let pair = json!({"type": "array", "items": innermost, "minItems": 2, "maxItems": 2});
        assert_eq!(schema, json!({"type": "array", "items": pair, "minItems": 1}));
        assert_eq!(nested(json!(true), &[]), json!(true));
    }

    #[test]
    fn values_are_listed_if_names_can_be_made_of_them() {
        let listed = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            allowed_texts(&texts).is_some()
        };
        assert!(listed(&["no", "yes", "Zürich"]));
        for unlisted in [&["a b", "a-b"][..], &["1", "-1"], &["+"], &[]] {
            assert!(!listed(unlisted), "{unlisted:?}");
        }
        assert!(!listed(&[&*"x".repeat(2000)]));
    }
}
