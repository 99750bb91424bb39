//! Frames as CSV (RFC 4180) with a header. A text has no type: what a field is, the column of the model says.

use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord};

use super::frame::{instances, takes_no_names};
use crate::{
    model::{Cell, Contract, ElementType, Layout, Row},
    wire::{
        BodyError,
        tensorflow::{Given, Instances, MAX_ROWS_BYTES, MAX_VALUES, invalid, too_many},
    },
};

/// Where the rows stand: they are counted from 0, the header is none.
pub const ROWS: &str = "/rows";

/// Reads the rows of a model that takes some.
///
/// # Errors
///
/// When it is no CSV, has no header, or rows of other lengths than the header's.
pub fn read_csv(body: &[u8], layout: &Layout, contract: &Contract) -> Result<Instances, BodyError> {
    if body.len() > MAX_ROWS_BYTES {
        return Err(too_many(ROWS));
    }
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(body);
    let malformed = |error: &csv::Error| invalid(ROWS, "malformed_csv", no_csv(error));
    let header = reader.headers().map_err(|error| malformed(&error))?.clone();
    check_header(&header, takes_no_names(Some(layout), contract))?;
    let columns: Vec<Column<'_>> =
        header.iter().enumerate().map(|(index, name)| Column::new(index, name, layout, contract)).collect();
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| malformed(&error))?;
        if record.len() != columns.len() {
            let message = format!("expected {} values, one a column, got {}", columns.len(), record.len());
            return Err(invalid(&format!("{ROWS}/{index}"), "wrong_count", message));
        }
        if rows.len().saturating_mul(columns.len()) > MAX_VALUES {
            return Err(too_many(ROWS));
        }
        let cells = columns.iter().zip(&record).map(|(column, text)| cell(text, column.element_type));
        rows.push(if takes_no_names(Some(layout), contract) {
            Row::Positional(cells.collect())
        } else {
            Row::Named(columns.iter().map(|column| column.name.to_owned()).zip(cells).collect())
        });
    }
    instances(rows.len(), Given::Rows(rows), ROWS)
}

/// The error without what stands in the body.
fn no_csv(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "the body is no CSV: it is not in UTF-8",
        _ => "the body is no CSV",
    }
}

fn check_header(header: &StringRecord, counted: bool) -> Result<(), BodyError> {
    let no_header = |message: &str| Err(invalid("/header", "no_header", message));
    if header.is_empty() || header.iter().all(str::is_empty) {
        return no_header("the first line must name the columns");
    }
    // pandas counts columns that have no names.
    let is_count = header.iter().enumerate().all(|(index, name)| name == index.to_string());
    let is_data = header.iter().all(|name| name.trim().parse::<f64>().is_ok());
    if is_data && !(counted && is_count) {
        return no_header("the first line must name the columns, and holds numbers: send a header");
    }
    let mut names = HashSet::new();
    for (index, name) in header.iter().enumerate() {
        if !names.insert(name) {
            let place = format!("/header/{index}");
            return Err(invalid(&place, "duplicate", format!("`{name}` is there more than once")));
        }
    }
    Ok(())
}

struct Column<'h> {
    name: &'h str,
    /// The type of its values, if the model has the column.
    element_type: Option<ElementType>,
}

impl<'h> Column<'h> {
    fn new(index: usize, name: &'h str, layout: &Layout, contract: &Contract) -> Self {
        let name = name.trim();
        let position =
            if takes_no_names(Some(layout), contract) { Some(index) } else { contract.column(name) };
        Self { name, element_type: position.and_then(|position| layout.element_type(position)) }
    }
}

/// What a field holds. An empty one is a missing value, as for pandas, and so is NaN among numbers.
fn cell(text: &str, element_type: Option<ElementType>) -> Cell {
    let as_text = || Cell::Text(text.to_owned());
    match (element_type, text.trim()) {
        (Some(_), "") => Cell::Null,
        (Some(ElementType::Bool), "true" | "True" | "TRUE") => Cell::Bool(true),
        (Some(ElementType::Bool), "false" | "False" | "FALSE") => Cell::Bool(false),
        (None | Some(ElementType::String | ElementType::Bool), _) => as_text(),
        (Some(_), "NaN" | "nan") => Cell::Null,
        (Some(_), number) => {
            let integer = number.parse().map(Cell::Integer);
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            let float = || number.parse().ok().filter(|_| is_number).map(Cell::Float);
            integer.ok().or_else(float).unwrap_or_else(as_text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_the_column_says_what_a_field_is() {
        for (text, element_type, expected) in [
            ("", Some(ElementType::String), Cell::Null),
            ("nan", Some(ElementType::F32), Cell::Null),
            ("nan", Some(ElementType::String), Cell::Text("nan".to_owned())),
            (" 7 ", Some(ElementType::F32), Cell::Integer(7)),
            ("7", Some(ElementType::String), Cell::Text("7".to_owned())),
            ("-1.5e3", Some(ElementType::I64), Cell::Float(-1500.0)),
            ("inf", Some(ElementType::F32), Cell::Text("inf".to_owned())),
            ("0x1", Some(ElementType::F32), Cell::Text("0x1".to_owned())),
            ("True", Some(ElementType::Bool), Cell::Bool(true)),
            ("1", Some(ElementType::Bool), Cell::Text("1".to_owned())),
            ("1", None, Cell::Text("1".to_owned())),
        ] {
            assert_eq!(cell(text, element_type), expected, "{text}");
        }
    }
}
