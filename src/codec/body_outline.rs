//! Outline of the body that a model takes, for errors. It is made of names, types and limits alone, so that it shows
//! no values of others.

use super::BodyError;
use crate::model::{ColumnFacts, Contract, ElementType, Elements, Feature, Layout, Signature};

/// Most columns that are written out.
const MAX_COLUMNS: usize = 12;

/// Longest category that is shown.
const MAX_TEXT_BYTES: usize = 64;

/// Most inputs that are written out.
const MAX_INPUTS: usize = 4;

impl BodyError {
    /// Adds an outline of the right body to errors about the form of the whole body.
    #[must_use]
    pub fn with_outline(self, signature: &Signature, layout: Option<&Layout>, contract: &Contract) -> Self {
        let Self::Invalid(mut errors) = self else { return self };
        let is_of_body = |pointer: &str, code: &str| match code {
            "exactly_one_of" => true,
            "wrong_form" => pointer.is_empty(),
            "unknown_field" => pointer.matches('/').count() == 1,
            _ => false,
        };
        for error in errors.iter_mut().filter(|error| is_of_body(&error.pointer, &error.code)) {
            error.message.push_str("; this model takes ");
            error.message.push_str(&outline(signature, layout, contract));
        }
        Self::Invalid(errors)
    }
}

fn outline(signature: &Signature, layout: Option<&Layout>, contract: &Contract) -> String {
    let Some(layout) = layout else { return tensors(signature) };
    let count = layout.columns();
    let mut values: Vec<String> =
        (0..count.min(MAX_COLUMNS)).map(|column| value(layout, contract, column)).collect();
    if count > MAX_COLUMNS {
        values.truncate(1);
        return format!("{{\"features\": [{}, …]}} with {count} values", values.concat());
    }
    if contract.features.len() != count {
        return format!("{{\"features\": [{}]}}", values.join(", "));
    }
    let named = contract.features.iter().zip(values);
    let fields: Vec<String> =
        named.map(|(feature, value)| format!("{}: {value}", quoted(&feature.name))).collect();
    format!("{{\"features\": {{{}}}}}", fields.join(", "))
}

fn tensors(signature: &Signature) -> String {
    let inputs = signature.inputs.iter().take(MAX_INPUTS);
    let fields: Vec<String> = inputs.clone().map(|input| format!("{}: …", quoted(&input.name))).collect();
    let kinds: Vec<String> = inputs.map(ToString::to_string).collect();
    let more = if signature.inputs.len() > MAX_INPUTS { ", …" } else { "" };
    format!("{{\"inputs\": {{{}{more}}}}} with {}{more}", fields.join(", "), kinds.join(", "))
}

/// Returns a value that the contract and the graph allow in a column.
fn value(layout: &Layout, contract: &Contract, column: usize) -> String {
    let facts = layout.place(column).and_then(|(input, place)| contract.graph.columns.get(input, place));
    let category = facts.and_then(category);
    match layout.element_type(column) {
        Some(ElementType::String) => category.unwrap_or_else(|| quoted("text")),
        Some(ElementType::Bool) => "true".to_owned(),
        element_type => {
            let is_whole = element_type.is_some_and(|element_type| !element_type.is_float());
            category.unwrap_or_else(|| number(contract.features.get(column), is_whole).to_string())
        }
    }
}

/// Returns the first category of an encoder, as JSON.
fn category(facts: &ColumnFacts) -> Option<String> {
    match facts.categories.as_ref()? {
        Elements::Texts(texts) => {
            texts.first().filter(|text| text.len() <= MAX_TEXT_BYTES).map(|text| quoted(text))
        }
        Elements::Integers(numbers) => numbers.first().map(ToString::to_string),
        Elements::Numbers(numbers) => {
            numbers.first().filter(|number| number.is_finite()).map(ToString::to_string)
        }
    }
}

/// Returns the number within the limits of a feature that is nearest to zero.
fn number(feature: Option<&Feature>, is_whole: bool) -> f64 {
    let limit = |of: fn(&Feature) -> Option<f64>| feature.and_then(of);
    let minimum = limit(|feature| feature.minimum).filter(|minimum| *minimum > 0.0);
    let maximum = limit(|feature| feature.maximum).filter(|maximum| *maximum < 0.0);
    let number = minimum.or(maximum).unwrap_or_default();
    match minimum {
        _ if !is_whole => number,
        Some(_) => number.ceil(),
        None => number.floor(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
