//! Blocks of rows on their way from the reader to a worker, and back as columns.

use super::{column::Column, encode::Encoded, row_error::RowError, stored::StoredColumn};

/// A run of rows of the input.
#[derive(Debug)]
pub(super) struct Block {
    /// The place among the blocks, from 0.
    pub(super) index: u64,
    /// The number of its first row, from 1.
    pub(super) first_row: u64,
    /// The line on which it begins, from 1; 0 in a format without lines.
    pub(super) first_line: u64,
    /// The number of rows.
    pub(super) rows: usize,
    /// The part of the input that was read up to its end, in bytes or rows.
    pub(super) done: u64,
    /// The rows.
    pub(super) content: Content,
}

/// The rows of a block.
#[derive(Debug)]
pub(super) enum Content {
    /// Records as text.
    Text(Vec<u8>),
    /// One column for each that is needed, in the order of the file.
    Columns(Vec<StoredColumn>),
}

/// A block whose rows were read and checked.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The begin and end of each row in a block of text.
    pub(super) places: Vec<(usize, usize)>,
    /// The inputs of the rows without faults, and the faults of the others.
    pub(super) encoded: Encoded,
    /// The columns that are passed through, of all rows.
    pub(super) kept: Vec<Column>,
}

/// The rows of a block that could not be scored: their places in the block, and their faults.
pub(super) type Rejected = Vec<(usize, Vec<RowError>)>;

/// Rows that were scored.
#[derive(Debug)]
pub(super) struct Scored {
    /// The predictions of the rows that did not fail.
    pub(super) outputs: Vec<Column>,
    /// The other rows, by their place among those that were scored, and the reasons.
    pub(super) failed: Rejected,
}
