//! Rows of values as clients send them, and their faults.
//!
//! Rows are parsed before they are checked, so that one response can list everything that is wrong with them.

mod batches;
mod check;
mod flat;
mod outputs;
mod read;

pub use batches::{Rows, RowsReader};
pub use check::rows_to_tensors;
pub use flat::{FlatElement, FlatLayout};
pub use outputs::{NotByRow, RowOutputs, RowValue};
pub(crate) use read::OUT_OF_RANGE;

/// One value of a row, valid or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A whole number with every digit, however it was written.
    Integer(i128),
    /// Any other number; infinite if the number exceeds the largest 64-bit float.
    Float(f64),
    /// A string.
    Text(String),
    /// True or false.
    Bool(bool),
    /// No value: `null`.
    Null,
    /// A value that no column holds: a list or an object.
    Misplaced(&'static str),
}

/// The values of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Values in the order of the columns.
    Positional(Vec<Cell>),
    /// Values by feature name, in the order of the request.
    Named(Vec<(String, Cell)>),
}

impl Row {
    /// Returns the number of values.
    fn len(&self) -> usize {
        match self {
            Self::Positional(values) => values.len(),
            Self::Named(values) => values.len(),
        }
    }
}

/// The part of a row that has a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The whole row.
    Row,
    /// The value at this position.
    Column(usize),
    /// The value with this name.
    Name(String),
}

/// One fault of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The row, counted from 0.
    pub row: usize,
    /// The location in the row.
    pub place: Location,
    /// A stable code for programs.
    pub code: &'static str,
    /// A sentence for people that says which values are allowed.
    pub message: String,
}
