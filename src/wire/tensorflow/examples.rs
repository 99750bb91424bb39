//! A request to classify or to regress: examples, which are objects of values by feature name.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    entries::{Entries, Kind, MAX_VALUES, kind},
    instances::{Instances, objects, read, read_objects, too_many},
    request::{check_signature_name, invalid},
};
use crate::{
    model::{Layout, Signature},
    wire::{BodyError, body::parse, field_error::escape},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'b> {
    #[serde(default)]
    signature_name: Option<String>,
    /// What all examples have in common.
    #[serde(borrow, default)]
    context: Option<&'b RawValue>,
    #[serde(borrow)]
    examples: &'b RawValue,
}

/// Reads examples for a model of this signature.
///
/// # Errors
///
/// When it is no JSON, or not what the model takes, with the place.
pub fn read_examples(
    body: &[u8],
    signature: &Signature,
    layout: Option<&Layout>,
) -> Result<Instances, BodyError> {
    let document: Document = parse(body)?;
    check_signature_name(document.signature_name.as_deref())?;
    let mut examples = objects(document.examples, "/examples")?;
    if examples.is_empty() {
        return Err(invalid("/examples", "no_rows", "expected at least one example"));
    }
    if let Some(context) = document.context {
        let Entries(context) = object(context, "/context")?;
        if examples.len().saturating_mul(context.len()) > MAX_VALUES {
            return Err(too_many("/context"));
        }
        for (index, example) in examples.iter_mut().enumerate() {
            for (name, value) in &context {
                if example.0.insert(name.clone(), value).is_some() {
                    let place = format!("/examples/{index}/{}", escape(name));
                    return Err(invalid(&place, "duplicate", format!("`{name}` is given in `context` too")));
                }
            }
        }
    }
    let given = read_objects(&examples, "/examples", signature, layout)?;
    Ok(Instances { given, count: examples.len() })
}

fn object<'b>(json: &'b RawValue, place: &str) -> Result<Entries<'b>, BodyError> {
    match kind(json) {
        Kind::Object => read(json, place),
        Kind::List | Kind::Value => {
            Err(invalid(place, "wrong_form", "expected an object of values by feature name"))
        }
    }
}
