//! Frames as CSV (RFC 4180). CSV has no types, so the column of the model decides the type of a field.

use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord};

use super::frame::{instances, takes_no_names};
use crate::{
    codec::{BodyError, csv_cell},
    model::{Contract, ElementType, Layout, Row, RowsReader},
    protocols::tensorflow::wire::{Instances, MAX_ROWS_BYTES, MAX_VALUES, PredictInputs, too_many},
};

/// The place of the rows: they are counted from 0, without the header.
pub const ROWS: &str = "/rows";

/// The first line, as the request declares it (RFC 4180 section 3, parameter `header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first row names the columns.
    Present,
    /// The first row is a row like any other: values are in the order of the columns.
    Absent,
    /// Undeclared: the first row has to look like names.
    Unsaid,
}

/// Reads the rows for a model that takes rows.
///
/// # Errors
///
/// If it is not CSV, lacks a required header, or has rows of another length than the header.
pub fn read_csv(
    body: &[u8],
    header: Header,
    layout: &Layout,
    contract: &Contract,
) -> Result<Instances, BodyError> {
    if body.len() > MAX_ROWS_BYTES {
        return Err(too_many(ROWS));
    }
    check_quotes(body)?;
    let has_header = header != Header::Absent;
    let by_position = !has_header || takes_no_names(Some(layout), contract);
    let mut reader = ReaderBuilder::new().flexible(true).has_headers(has_header).from_reader(body);
    let malformed = |error: &csv::Error| BodyError::invalid(ROWS, "malformed_csv", not_csv(error));
    let names = if has_header {
        let names = reader.headers().map_err(|error| malformed(&error))?.clone();
        check_header(&names, header, by_position, contract)?;
        Some(names)
    } else {
        None
    };
    let columns: Vec<Column<'_>> = match &names {
        Some(names) => names
            .iter()
            .enumerate()
            .map(|(index, name)| Column::new(index, name, by_position, layout, contract))
            .collect(),
        None => (0..layout.columns()).map(|index| Column::new(index, "", true, layout, contract)).collect(),
    };
    check_gaps(body, columns.len())?;
    let mut rows = RowsReader::new(Some(layout), contract);
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| malformed(&error))?;
        if record.len() != columns.len() {
            let message = format!("expected {} values, one a column, got {}", columns.len(), record.len());
            return Err(BodyError::invalid(&format!("{ROWS}/{index}"), "wrong_count", message));
        }
        if rows.count().saturating_mul(columns.len()) > MAX_VALUES {
            return Err(too_many(ROWS));
        }
        let cells = columns.iter().zip(&record).map(|(column, text)| csv_cell(text, column.element_type));
        rows.push(if by_position {
            Row::Positional(cells.collect())
        } else {
            Row::Named(columns.iter().map(|column| column.name.to_owned()).zip(cells).collect())
        });
    }
    instances(rows.count(), PredictInputs::Rows(rows.finish()), ROWS)
}

/// Refuses a body with a quote that is not closed, which would take the remaining rows into one field.
fn check_quotes(body: &[u8]) -> Result<(), BodyError> {
    if !leaves_open(body) {
        return Ok(());
    }
    let message =
        "a quote is not closed: each `\"` within a field is written twice, and the field stands in quotes";
    Err(BodyError::invalid(ROWS, "malformed_csv", message))
}

/// Returns true if a text leaves a quote open, or closes one that it does not open.
fn leaves_open(text: &[u8]) -> bool {
    text.iter().fold(false, |is_open, byte| is_open ^ (*byte == b'"'))
}

/// Refuses an empty line between the rows of one column, which may be a missing value or just an empty line.
fn check_gaps(body: &[u8], columns: usize) -> Result<(), BodyError> {
    let mut is_quoted = false;
    let mut gap = None;
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate().filter(|_| columns == 1) {
        let is_empty = line.iter().all(|byte| *byte == b'\r');
        match gap {
            Some(gap) if !is_empty => {
                let message =
                    format!("line {gap} is empty: write a missing value of the only column as `\"\"`");
                return Err(BodyError::invalid(ROWS, "malformed_csv", message));
            }
            None if is_empty && !is_quoted => gap = Some(number + 1),
            _ => {}
        }
        is_quoted ^= leaves_open(line);
    }
    Ok(())
}

/// Returns the error without any content of the body.
fn not_csv(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            "the body is not CSV in UTF-8: convert it, for instance with `iconv -t UTF-8`"
        }
        _ => "the body is not CSV",
    }
}

/// Refuses a first line that does not look like names. A data row taken for the header would be missing from the
/// response.
fn check_header(
    header: &StringRecord,
    said: Header,
    by_position: bool,
    contract: &Contract,
) -> Result<(), BodyError> {
    let no_header = |message: &str| Err(BodyError::invalid("/header", "no_header", message));
    if header.is_empty() || header.iter().all(str::is_empty) {
        return no_header("the first line must name the columns");
    }
    // pandas numbers unnamed columns.
    let is_count = || by_position && header.iter().enumerate().all(|(index, name)| name == index.to_string());
    if said == Header::Unsaid && !is_count() {
        let is_number = |name: &str| name.parse::<f64>().is_ok() && contract.column(name).is_none();
        let names = || header.iter().map(str::trim);
        if names().any(is_number) {
            return no_header(
                "the first line must name the columns, and holds numbers: send a header, or declare the body as \
                 `text/csv; header=absent`",
            );
        }
        if names().any(str::is_empty) {
            return no_header(
                "the first line must name the columns, and a name is empty: send a header that names each column, or \
                 declare the body as `text/csv; header=absent`",
            );
        }
    }
    let mut names = HashSet::new();
    for (index, name) in header.iter().enumerate() {
        if !names.insert(name) {
            let place = format!("/header/{index}");
            return Err(BodyError::invalid(&place, "duplicate", format!("`{name}` occurs more than once")));
        }
    }
    Ok(())
}

struct Column<'h> {
    name: &'h str,
    /// The type of its values; `None` if the model does not have the column.
    element_type: Option<ElementType>,
}

impl<'h> Column<'h> {
    fn new(index: usize, name: &'h str, by_position: bool, layout: &Layout, contract: &Contract) -> Self {
        let name = name.trim();
        let position = if by_position { Some(index) } else { contract.column(name) };
        Self { name, element_type: position.and_then(|position| layout.element_type(position)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cell;

    #[test]
    fn the_type_of_the_column_says_what_a_field_is() {
        for (text, element_type, expected) in [
            ("", Some(ElementType::String), Cell::Null),
            ("nan", Some(ElementType::F32), Cell::Null),
            ("nan", Some(ElementType::String), Cell::Text("nan".to_owned())),
            (" 7 ", Some(ElementType::F32), Cell::Integer(7)),
            ("7", Some(ElementType::String), Cell::Text("7".to_owned())),
            ("-1.5e3", Some(ElementType::I64), Cell::Integer(-1500)),
            ("5.0", Some(ElementType::I64), Cell::Integer(5)),
            ("5.5", Some(ElementType::I64), Cell::Float(5.5)),
            (".5", Some(ElementType::F32), Cell::Float(0.5)),
            ("1e400", Some(ElementType::F64), Cell::Float(f64::INFINITY)),
            ("+5", Some(ElementType::U8), Cell::Integer(5)),
            ("-", Some(ElementType::U8), Cell::Text("-".to_owned())),
            ("inf", Some(ElementType::F32), Cell::Text("inf".to_owned())),
            ("0x1", Some(ElementType::F32), Cell::Text("0x1".to_owned())),
            ("True", Some(ElementType::Bool), Cell::Bool(true)),
            ("1", Some(ElementType::Bool), Cell::Text("1".to_owned())),
            ("1", None, Cell::Text("1".to_owned())),
        ] {
            assert_eq!(csv_cell(text, element_type), expected, "{text}");
        }
    }
}
