//! Conversion of rows to the inputs of a model, or to the rows of a request.

use super::{column::Texts, file_columns::FileColumns, row_error::RowError, row_model::RowModel};
use crate::model::{Cell, FlatElement, FlatLayout, Row, Tensor, TensorData, rows_to_tensors};

/// A row of a file, as the model's columns.
pub(super) trait CellSource {
    /// Returns the value of a column if it is plainly a number; `None` asks for the cell.
    fn number(&self, column: usize) -> Option<f64>;

    /// Returns the value of a column.
    fn cell(&self, column: usize) -> Cell;
}

/// Rows that were read and checked.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The number of all rows.
    pub(super) rows: usize,
    /// The rows without faults.
    pub(super) inputs: EncodedRows,
    /// The other rows and their faults, in order.
    pub(super) rejected: Vec<(usize, Vec<RowError>)>,
}

/// Rows without faults.
#[derive(Debug)]
pub(super) enum EncodedRows {
    /// The inputs of a model in this process.
    Tensors(Vec<(String, Tensor)>),
    /// Lists of values as JSON, for a gateway.
    Json(Texts),
}

/// The model for which rows are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checker<'m> {
    /// A model in this process checks them.
    Local(&'m RowModel),
    /// The gateway checks them.
    Gateway,
}

/// The rows of a block while they are read.
#[derive(Debug)]
pub(super) struct Encoder<'m> {
    model: Checker<'m>,
    names: &'m [String],
    rows: usize,
    kind: Kind<'m>,
    rejected: Vec<(usize, Vec<RowError>)>,
}

#[derive(Debug)]
enum Kind<'m> {
    Singles(&'m FlatLayout, Vec<f32>),
    Doubles(&'m FlatLayout, Vec<f64>),
    /// Rows of any types, and their numbers in the block.
    Rows(Vec<Row>, Vec<usize>),
    Json(Texts),
}

impl<'m> Encoder<'m> {
    /// Creates an encoder for a block with this number of rows.
    pub(super) fn new(model: Checker<'m>, columns: &'m FileColumns, rows: usize) -> Self {
        let kind = match model {
            Checker::Gateway => Kind::Json(Texts::default()),
            Checker::Local(local) => match &local.flat {
                Some(flat) if flat.element_type() == f32::ELEMENT_TYPE => {
                    Kind::Singles(flat, Vec::with_capacity(rows * flat.columns()))
                }
                Some(flat) => Kind::Doubles(flat, Vec::with_capacity(rows * flat.columns())),
                None => Kind::Rows(Vec::with_capacity(rows), Vec::with_capacity(rows)),
            },
        };
        Self { model, names: &columns.names, rows: 0, kind, rejected: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: &impl CellSource) {
        let columns = self.names.len();
        let checked = match &mut self.kind {
            Kind::Singles(flat, elements) => push_numbers(flat, elements, row)
                .map_or_else(|| checked(self.model, columns, row, elements), Ok),
            Kind::Doubles(flat, elements) => push_numbers(flat, elements, row)
                .map_or_else(|| checked(self.model, columns, row, elements), Ok),
            Kind::Rows(rows, places) => {
                rows.push(cells(columns, row));
                places.push(self.rows);
                Ok(())
            }
            Kind::Json(texts) => {
                texts.push_with(|out| write_cells(out, columns, row));
                Ok(())
            }
        };
        if let Err(violations) = checked {
            self.rejected.push((self.rows, of_violations(violations, self.names)));
        }
        self.rows += 1;
    }

    /// Adds a row that cannot be read.
    pub(super) fn reject(&mut self, errors: Vec<RowError>) {
        self.rejected.push((self.rows, errors));
        self.rows += 1;
    }

    /// Ends the block.
    pub(super) fn finish(mut self) -> Encoded {
        let inputs = match (self.kind, self.model) {
            (Kind::Singles(flat, elements), _) => only(flat, elements),
            (Kind::Doubles(flat, elements), _) => only(flat, elements),
            (Kind::Rows(rows, places), Checker::Local(model)) => {
                let (inputs, rejected) = checked_rows(model, rows, &places, self.names);
                self.rejected.extend(rejected);
                self.rejected.sort_by_key(|(row, _)| *row);
                EncodedRows::Tensors(inputs)
            }
            (Kind::Json(texts), _) => EncodedRows::Json(texts),
            (Kind::Rows(..), Checker::Gateway) => EncodedRows::Json(Texts::default()),
        };
        Encoded { rows: self.rows, inputs, rejected: self.rejected }
    }
}

impl Encoded {
    /// Returns the number of rows without faults.
    pub(super) fn valid(&self) -> usize {
        self.rows - self.rejected.len()
    }
}

fn only<T: FlatElement>(flat: &FlatLayout, elements: Vec<T>) -> EncodedRows {
    let tensor = flat.tensor(elements.len() / flat.columns().max(1), elements);
    EncodedRows::Tensors(tensor.map(|tensor| (flat.input().to_owned(), tensor)).into_iter().collect())
}

/// Adds a row of plain numbers within their ranges; `None` if it is any other, and nothing is added.
fn push_numbers<T: FlatElement>(
    flat: &FlatLayout,
    elements: &mut Vec<T>,
    row: &impl CellSource,
) -> Option<()> {
    let before = elements.len();
    for column in 0..flat.columns() {
        let Some(element) = row.number(column).and_then(|number| flat.element(column, number)) else {
            elements.truncate(before);
            return None;
        };
        elements.push(element);
    }
    Some(())
}

/// Rows with faults, by their place in the block.
type Rejected = Vec<(usize, Vec<RowError>)>;

/// The faults of a row.
type Violations = Vec<crate::model::Violation>;

/// Checks a row as the server does and adds its elements.
fn checked<T: StoredElement>(
    model: Checker<'_>,
    columns: usize,
    row: &impl CellSource,
    elements: &mut Vec<T>,
) -> Result<(), Violations> {
    let Checker::Local(RowModel { layout, contract, .. }) = model else { return Ok(()) };
    let inputs =
        rows_to_tensors(&[cells(columns, row)], layout, contract).map_err(|violations| violations.listed)?;
    for (_, tensor) in inputs {
        elements.extend_from_slice(T::elements(tensor.data()));
    }
    Ok(())
}

/// An element type of a matrix of numbers.
trait StoredElement: FlatElement {
    /// Returns the elements of a tensor; empty if they are of another type.
    fn elements(data: &TensorData) -> &[Self];
}

impl StoredElement for f32 {
    fn elements(data: &TensorData) -> &[Self] {
        if let TensorData::F32(elements) = data { elements } else { &[] }
    }
}

impl StoredElement for f64 {
    fn elements(data: &TensorData) -> &[Self] {
        if let TensorData::F64(elements) = data { elements } else { &[] }
    }
}

/// Checks rows of any types, and leaves out those with faults.
fn checked_rows(
    model: &RowModel,
    mut rows: Vec<Row>,
    places: &[usize],
    names: &[String],
) -> (Vec<(String, Tensor)>, Rejected) {
    let RowModel { layout, contract, .. } = model;
    let mut rejected = Vec::new();
    if let Ok(inputs) = rows_to_tensors(&rows, layout, contract) {
        return (inputs, rejected);
    }
    let mut places = places.iter();
    rows.retain(|row| {
        let place = places.next().copied().unwrap_or_default();
        match rows_to_tensors(std::slice::from_ref(row), layout, contract) {
            Ok(_) => true,
            Err(violations) => {
                rejected.push((place, of_violations(violations.listed, names)));
                false
            }
        }
    });
    (rows_to_tensors(&rows, layout, contract).unwrap_or_default(), rejected)
}

fn of_violations(violations: Violations, names: &[String]) -> Vec<RowError> {
    violations.into_iter().map(|violation| RowError::of_violation(violation, names)).collect()
}

fn cells(columns: usize, row: &impl CellSource) -> Row {
    Row::Positional((0..columns).map(|column| row.cell(column)).collect())
}

/// Writes a row as a list of JSON values.
fn write_cells(out: &mut Vec<u8>, columns: usize, row: &impl CellSource) {
    out.push(b'[');
    for column in 0..columns {
        if column > 0 {
            out.push(b',');
        }
        // Writing to memory cannot fail.
        let _ = match row.cell(column) {
            Cell::Integer(integer) => serde_json::to_writer(&mut *out, &integer),
            Cell::Float(number) if number.is_finite() => serde_json::to_writer(&mut *out, &number),
            // JSON has no such number: as a text, only its row is refused.
            Cell::Float(number) => serde_json::to_writer(&mut *out, &number.to_string()),
            Cell::Text(text) => serde_json::to_writer(&mut *out, &text),
            Cell::Bool(truth) => serde_json::to_writer(&mut *out, &truth),
            Cell::Null => serde_json::to_writer(&mut *out, &()),
            // The gateway says why it takes no such value.
            Cell::Misplaced("an object") => serde_json::to_writer(&mut *out, &serde_json::json!({})),
            Cell::Misplaced(_) => serde_json::to_writer(&mut *out, &serde_json::json!([])),
        };
    }
    out.push(b']');
}
