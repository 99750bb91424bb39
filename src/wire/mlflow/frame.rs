//! Frames as JSON: rows of columns that have names.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    model::{Cell, Contract, Layout, Row, RowInputs, Signature},
    wire::{
        BodyError,
        tensorflow::{
            Entries, Given, Glance, Instances, MAX_ROWS_BYTES, MAX_VALUES, invalid, objects, read,
            read_objects, too_many,
        },
    },
};

/// Where the rows of a split frame stand.
pub(super) const SPLIT_DATA: &str = "/dataframe_split/data";

/// Where the names of its columns do.
const SPLIT_COLUMNS: &str = "/dataframe_split/columns";

/// A frame as pandas writes it with `orient="split"`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Split<'b> {
    #[serde(borrow, default)]
    columns: Option<&'b RawValue>,
    /// The names of rows mean nothing to a model.
    #[serde(default)]
    #[serde(rename = "index")]
    _index: Option<IgnoredAny>,
    #[serde(borrow)]
    data: &'b RawValue,
}

/// The name of a column; pandas counts columns that have none.
#[derive(Debug)]
struct ColumnName(String);

impl<'de> Deserialize<'de> for ColumnName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Cell::deserialize(deserializer)? {
            Cell::Text(name) => Ok(Self(name)),
            Cell::Integer(number) => Ok(Self(number.to_string())),
            _ => Err(serde::de::Error::custom("expected the name of a column")),
        }
    }
}

impl Split<'_> {
    /// The rows of the frame.
    pub(super) fn read(
        self,
        signature: &Signature,
        layout: Option<&Layout>,
        contract: &Contract,
    ) -> Result<Instances, BodyError> {
        let names = self.columns.filter(|_| !takes_no_names(layout, contract));
        let Some(names) = names else {
            if self.data.get().len() > MAX_ROWS_BYTES {
                return Err(too_many(SPLIT_DATA));
            }
            let rows: Vec<Row> = read(self.data, SPLIT_DATA)?;
            if let Some(row) = rows.iter().position(|row| matches!(row, Row::Named(_))) {
                return Err(invalid(
                    &format!("{SPLIT_DATA}/{row}"),
                    "wrong_form",
                    "expected a list of values",
                ));
            }
            return instances(rows.len(), Given::Rows(rows), SPLIT_DATA);
        };
        let columns: Vec<ColumnName> = read_few(names, SPLIT_COLUMNS)?;
        let mut names = HashSet::new();
        for (index, ColumnName(name)) in columns.iter().enumerate() {
            if !names.insert(name) {
                let place = format!("{SPLIT_COLUMNS}/{index}");
                return Err(invalid(&place, "duplicate", format!("`{name}` is there more than once")));
            }
        }
        let rows: Vec<&RawValue> = read_few(self.data, SPLIT_DATA)?;
        if rows.is_empty() {
            return Err(no_rows(SPLIT_DATA));
        }
        if rows.len().saturating_mul(columns.len().max(1)) > MAX_VALUES {
            return Err(too_many(SPLIT_DATA));
        }
        let rows = rows.into_iter().enumerate();
        let rows = rows.map(|(index, row)| object(row, &columns, &format!("{SPLIT_DATA}/{index}")));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        instances(rows.len(), read_objects(&rows, SPLIT_DATA, signature, layout)?, SPLIT_DATA)
    }
}

/// Reads a list, if it is not so long that reading it would fill the memory.
fn read_few<'b, T: Deserialize<'b>>(json: &'b RawValue, place: &str) -> Result<Vec<T>, BodyError> {
    let Glance { count, .. } = read(json, place)?;
    if count > MAX_VALUES { Err(too_many(place)) } else { read(json, place) }
}

/// A row as an object of its values by column name.
fn object<'b>(row: &'b RawValue, columns: &[ColumnName], place: &str) -> Result<Entries<'b>, BodyError> {
    let values: Vec<&RawValue> = read_few(row, place)?;
    if values.len() != columns.len() {
        let message = format!("expected {} values, one a column, got {}", columns.len(), values.len());
        return Err(invalid(place, "wrong_count", message));
    }
    let names = columns.iter().map(|ColumnName(name)| name.clone());
    Ok(Entries(names.zip(values).collect::<BTreeMap<_, _>>()))
}

/// Whether the columns of a model are told apart by their order alone.
pub(super) fn takes_no_names(layout: Option<&Layout>, contract: &Contract) -> bool {
    let is_matrix = layout.is_some_and(|layout| matches!(layout.inputs, RowInputs::Matrix { .. }));
    is_matrix && contract.features.is_empty()
}

/// Reads a frame as pandas writes it with `orient="records"`.
pub(super) fn read_records(
    json: &RawValue,
    place: &str,
    signature: &Signature,
    layout: Option<&Layout>,
) -> Result<Instances, BodyError> {
    let records = objects(json, place)?;
    if records.is_empty() {
        return Err(no_rows(place));
    }
    instances(records.len(), read_objects(&records, place, signature, layout)?, place)
}

/// These rows, if there are any.
pub(super) fn instances(count: usize, given: Given, place: &str) -> Result<Instances, BodyError> {
    if count == 0 { Err(no_rows(place)) } else { Ok(Instances { given, count }) }
}

fn no_rows(place: &str) -> BodyError {
    invalid(place, "no_rows", "expected at least one row")
}
