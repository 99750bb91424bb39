//! Rows of values as callers send them, and what can be wrong with them.
//!
//! A row is read without judging it, so that one answer can list everything that is wrong with it.

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

/// One value of a row, whatever it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A whole number, however it was written, every digit kept.
    Integer(i128),
    /// Any other number; infinite when the text was beyond the greatest 64-bit float.
    Float(f64),
    /// A text.
    Text(String),
    /// true or false.
    Bool(bool),
    /// No value: `null`.
    Null,
    /// Something that no column holds: a list, an object.
    Misplaced(&'static str),
}

/// The values of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// In the order of the columns.
    Positional(Vec<Cell>),
    /// By feature name, in the order they were sent.
    Named(Vec<(String, Cell)>),
}

impl Row {
    /// The number of its values.
    fn len(&self) -> usize {
        match self {
            Self::Positional(values) => values.len(),
            Self::Named(values) => values.len(),
        }
    }
}

/// The part of a row that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The row itself.
    Row,
    /// The value at this position.
    Column(usize),
    /// The value of this name.
    Name(String),
}

/// One thing that is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The row, counted from 0.
    pub row: usize,
    /// Where in the row.
    pub place: Place,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people, with what is allowed.
    pub message: String,
}
