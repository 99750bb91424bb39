//! Parser of JSON bodies, with the place of every error.

use std::marker::PhantomData;

use serde::{Deserialize, de::DeserializeSeed};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment, Track};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::{FieldError, field_error::escape};
use crate::model::OUT_OF_RANGE;

/// An error of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The body is not JSON.
    Malformed(FieldError),
    /// The body is JSON of another form.
    Invalid(Vec<FieldError>),
}

impl BodyError {
    /// Creates the error of one wrong field.
    pub(crate) fn invalid(pointer: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, code, message)])
    }
}

/// Longest body that is first read without the place of every value.
const MAX_UNTRACKED_BYTES: usize = 16 * 1024;

/// Returns true if the text can only be an object. A derived `Deserialize` would also read a struct's fields from a
/// list.
fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// Parses a JSON object of this form.
///
/// # Errors
///
/// If the text is not JSON, or of another form, both with the place.
pub fn parse<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, BodyError> {
    // Most bodies are valid, and places are for errors. A long body is not read twice for one.
    let text = without_mark(bytes);
    if text.len() <= MAX_UNTRACKED_BYTES
        && is_object(text)
        && let Ok(value) = serde_json::from_slice(text)
    {
        return Ok(value);
    }
    parse_seed(bytes, PhantomData)
}

/// Parses a JSON object with the seed.
///
/// # Errors
///
/// As [`parse`].
pub(crate) fn parse_seed<'b, S: DeserializeSeed<'b>>(
    bytes: &'b [u8],
    seed: S,
) -> Result<S::Value, BodyError> {
    let bytes = without_mark(bytes);
    if let Some(message) = other_encoding(bytes) {
        return Err(BodyError::Malformed(FieldError::new("", "malformed_json", message)));
    }
    if !is_object(bytes) {
        // Syntax errors take precedence over the wrong form.
        let _: serde::de::IgnoredAny =
            serde_json::from_slice(bytes).map_err(|error| malformed(String::new(), &error, bytes))?;
        let message = "expected an object".to_owned();
        return Err(BodyError::Invalid(vec![FieldError {
            pointer: String::new(),
            code: "wrong_form".into(),
            message,
        }]));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut track = Track::new();
    let parsed = seed.deserialize(serde_path_to_error::Deserializer::new(&mut deserializer, &mut track));
    let error = match parsed {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(malformed(String::new(), &error, bytes)),
        },
        Err(error) => error,
    };
    let pointer = pointer(&track.path());
    match error.classify() {
        Category::Data => {
            let message = error.to_string();
            if message.starts_with(OUT_OF_RANGE) {
                return Err(malformed(pointer, &error, bytes));
            }
            let code = if message.starts_with("unknown field") { "unknown_field" } else { "wrong_form" };
            let code = code.into();
            Err(BodyError::Invalid(vec![FieldError { pointer, code, message }]))
        }
        Category::Syntax | Category::Eof | Category::Io => Err(malformed(pointer, &error, bytes)),
    }
}

/// Parses a JSON object of this form and runs `validator` on it.
///
/// # Errors
///
/// As [`parse`], or with every error of `validator`.
pub fn parse_valid<'b, T: Deserialize<'b> + Validate>(bytes: &'b [u8]) -> Result<T, BodyError> {
    parse_valid_seed(bytes, PhantomData)
}

/// Parses a JSON object with the seed and runs `validator` on it.
pub(crate) fn parse_valid_seed<'b, S>(bytes: &'b [u8], seed: S) -> Result<S::Value, BodyError>
where
    S: DeserializeSeed<'b, Value: Validate>,
{
    let body = parse_seed(bytes, seed)?;
    body.validate().map_err(|errors| BodyError::Invalid(field_errors("", &errors)))?;
    Ok(body)
}

/// Strips a byte order mark at the beginning, which RFC 8259 section 8.1 lets readers ignore.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Returns the error of a body that begins with the byte order mark of another encoding than UTF-8; `None` for UTF-8.
#[must_use]
pub fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            Some("the body begins with the byte order mark of UTF-32: send JSON in UTF-8")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Some("the body begins with the byte order mark of UTF-16: send JSON in UTF-8")
        }
        _ => None,
    }
}

fn malformed(pointer: String, error: &serde_json::Error, bytes: &[u8]) -> BodyError {
    let mut message = error.to_string();
    if names_no_json_number(error, bytes) {
        message += r#"; JSON has no NaN and no infinity: a tensor takes the texts "NaN", "Infinity" and "-Infinity""#;
    }
    BodyError::Malformed(FieldError { pointer, code: "malformed_json".into(), message })
}

/// Returns true if the error is at a number that some clients write though JSON does not have it.
fn names_no_json_number(error: &serde_json::Error, bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The column is that of the last byte read, which is the first or second of the number.
    (1..=2).any(|back| {
        let rest = line.get(error.column().saturating_sub(back)..).unwrap_or_default();
        [&b"NaN"[..], b"Infinity", b"-Infinity"].iter().any(|number| rest.starts_with(number))
    })
}

/// Returns the place of an error as a JSON pointer.
pub(crate) fn pointer(path: &Path) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escape(key)),
        Segment::Enum { variant } => format!("/{}", escape(variant)),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// Returns the errors of `validator` with pointers.
fn field_errors(base: &str, errors: &ValidationErrors) -> Vec<FieldError> {
    let mut found = Vec::new();
    for (name, kind) in errors.errors() {
        // A rule about the whole struct has the name `__all__`.
        let pointer = if name == "__all__" { base.to_owned() } else { format!("{base}/{}", escape(name)) };
        match kind {
            ValidationErrorsKind::Struct(inner) => found.extend(field_errors(&pointer, inner)),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    found.extend(field_errors(&format!("{pointer}/{index}"), inner));
                }
            }
            ValidationErrorsKind::Field(errors) => found.extend(errors.iter().map(|error| FieldError {
                pointer: pointer.clone(),
                code: error.code.clone(),
                message: error.message.clone().unwrap_or_else(|| error.code.clone()).into_owned(),
            })),
        }
    }
    found
}
