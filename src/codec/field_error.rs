//! One error in a body, with its place.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{InputViolation, Location, Violation, Violations};

/// One error in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The place, as a JSON pointer (RFC 6901)
    #[schema(example = "/features/2")]
    pub pointer: String,
    /// A stable code for programs
    #[schema(example = "out_of_range")]
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// A sentence for people, with what is allowed
    #[schema(example = "expected a number from 0.1 to 15 (cm), got 99")]
    pub message: String,
}

impl FieldError {
    /// Creates an error at this place, a JSON pointer.
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), message: message.into() }
    }
}

/// The beginning of the pointer to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowBase {
    /// The one row: `/features`.
    Features,
    /// One of many: `/instances/3`.
    Instances,
    /// One of many, in the list at this place.
    List(&'static str),
    /// The one row, which is the whole body.
    Body,
}

impl RowBase {
    /// Returns the base of native bodies: many rows, or one.
    #[must_use]
    pub fn of(many: bool) -> Self {
        if many { Self::Instances } else { Self::Features }
    }

    /// Returns the place of all rows.
    #[must_use]
    pub fn pointer(self) -> &'static str {
        match self {
            Self::Features => "/features",
            Self::Instances => "/instances",
            Self::List(list) => list,
            Self::Body => "",
        }
    }
}

/// Returns the errors of the rows of a body.
#[must_use]
pub fn row_errors(violations: &Violations, base: RowBase) -> Vec<FieldError> {
    let error = |violation: &Violation| FieldError {
        pointer: row_pointer(violation, base),
        code: violation.code.into(),
        message: violation.message.clone(),
    };
    violations.listed.iter().map(error).collect()
}

/// Returns the place of an input in a body.
#[must_use]
pub fn input_pointer(input: &str) -> String {
    format!("/inputs/{}", escape(input))
}

/// Returns the errors of the inputs of a body.
#[must_use]
pub fn input_errors(violations: &Violations<InputViolation>) -> Vec<FieldError> {
    let error = |violation: &InputViolation| FieldError {
        pointer: format!("{}{}", input_pointer(&violation.input), violation.path),
        code: violation.code.into(),
        message: violation.message.clone(),
    };
    violations.listed.iter().map(error).collect()
}

fn row_pointer(violation: &Violation, base: RowBase) -> String {
    let row = match base {
        RowBase::Features => "/features".to_owned(),
        RowBase::Instances => format!("/instances/{}", violation.row),
        RowBase::List(place) => format!("{place}/{}", violation.row),
        RowBase::Body => String::new(),
    };
    match &violation.place {
        Location::Row => row,
        Location::Column(column) => format!("{row}/{column}"),
        Location::Name(name) => format!("{row}/{}", escape(name)),
    }
}

/// Escapes a name as part of a JSON pointer (RFC 6901 section 3).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
