//! A request to classify or to regress: examples, which are objects of values by feature name.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    entries::{Entries, Kind, MAX_VALUES, kind},
    instances::{Instances, read_objects},
    objects::{InContext, ObjectList, Objects},
    read_part::{read, too_many},
    request::check_signature_name,
};
use crate::codec::{BodyError, Model, body::parse, field_error::escape};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'b> {
    #[serde(default)]
    signature_name: Option<String>,
    /// Values that all examples share.
    #[serde(borrow, default)]
    context: Option<&'b RawValue>,
    #[serde(borrow)]
    examples: &'b RawValue,
}

/// Reads examples for a model of this signature.
///
/// # Errors
///
/// If it is not JSON, or not what the model takes, with the place.
pub fn read_examples(body: &[u8], model: Model<'_>) -> Result<Instances, BodyError> {
    let document: Document = parse(body)?;
    check_signature_name(document.signature_name.as_deref())?;
    let objects = ObjectList::read(document.examples, "/examples")?;
    let count = objects.count();
    if count == 0 {
        return Err(BodyError::invalid("/examples", "no_rows", "expected at least one example"));
    }
    let Some(context) = document.context else {
        return Ok(Instances { given: read_objects(&objects, "/examples", model)?, count });
    };
    let Entries(context) = object(context, "/context")?;
    if count.saturating_mul(context.len()) > MAX_VALUES {
        return Err(too_many("/context"));
    }
    objects.each(&mut |index, example| match context.keys().find(|name| example.0.contains_key(*name)) {
        Some(name) => {
            let place = format!("/examples/{index}/{}", escape(name));
            Err(BodyError::invalid(&place, "duplicate", format!("`{name}` is given in `context` too")))
        }
        None => Ok(()),
    })?;
    let given = read_objects(&InContext { objects, context }, "/examples", model)?;
    Ok(Instances { given, count })
}

fn object<'b>(json: &'b RawValue, place: &str) -> Result<Entries<'b>, BodyError> {
    match kind(json) {
        Kind::Object => read(json, place),
        Kind::List | Kind::Value => {
            Err(BodyError::invalid(place, "wrong_form", "expected an object of values by feature name"))
        }
    }
}
