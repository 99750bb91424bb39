//! Reasons why a row was not scored, and their form in the file of rejected rows.

use std::{borrow::Cow, io::Write};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::{Location, Violation};

/// A fault of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RowError {
    /// The column that has the fault; `None` if the whole row has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<String>,
    /// A stable code, the one that the server has for such a fault.
    pub(super) code: Cow<'static, str>,
    /// A sentence that says which values are allowed.
    pub(super) message: String,
}

impl RowError {
    /// Creates the fault of a whole row.
    pub(super) fn of_row(code: &'static str, message: impl Into<String>) -> Self {
        Self { column: None, code: code.into(), message: message.into() }
    }

    /// Creates the fault of a column.
    pub(super) fn of_column(column: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { column: Some(column.to_owned()), code: code.into(), message: message.into() }
    }

    /// Converts a violation of the contract; `names` are those of the model's columns.
    pub(super) fn of_violation(violation: Violation, names: &[String]) -> Self {
        let column = match violation.place {
            Location::Row => None,
            Location::Column(column) => names.get(column).cloned(),
            Location::Name(name) => Some(name),
        };
        Self { column, code: violation.code.into(), message: violation.message }
    }
}

/// A row that was not scored.
#[derive(Debug, Serialize)]
pub(super) struct RejectedRow<'r> {
    /// The row, counted from 1 without the header.
    pub(super) row: u64,
    /// The line on which it begins, counted from 1; `None` in a format without lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    /// The faults.
    pub(super) errors: &'r [RowError],
    /// The row itself.
    pub(super) input: &'r RawValue,
}

impl RejectedRow<'_> {
    /// Appends the line of the file of rejected rows.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Writing to memory cannot fail, nor can texts and numbers.
        let _ = serde_json::to_writer(&mut *out, self);
        let _ = out.write_all(b"\n");
    }
}

/// Returns an object with its members in this order as JSON text.
pub(super) fn raw_object<'n, V: Serialize>(
    members: impl IntoIterator<Item = (&'n String, V)>,
) -> Box<RawValue> {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = serde_json::Serializer::new(&mut text).collect_map(members);
    serde_json::from_slice(&text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Returns a value as JSON text; `null` if it has none.
pub(super) fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
