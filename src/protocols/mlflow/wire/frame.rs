//! Frames as JSON: rows with named columns.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    codec::{BodyError, Model},
    model::{Cell, Contract, Layout, RowInputs},
    protocols::tensorflow::wire::{
        Entries, Glance, HELD_BYTES, Instances, MAX_ROWS_BYTES, MAX_VALUES, ObjectList, Objects,
        PredictInputs, Visit, each_item, read, read_list_of_rows, read_objects, too_many,
    },
};

/// The place of the rows of a split frame.
pub(super) const SPLIT_DATA: &str = "/dataframe_split/data";

/// The place of the column names of a split frame.
const SPLIT_COLUMNS: &str = "/dataframe_split/columns";

/// A frame as pandas writes it with `orient="split"`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Split<'b> {
    #[serde(borrow, default)]
    columns: Option<&'b RawValue>,
    /// Row names, which a model does not use.
    #[serde(default)]
    #[serde(rename = "index")]
    _index: Option<IgnoredAny>,
    #[serde(borrow)]
    data: &'b RawValue,
}

/// The name of a column; pandas numbers unnamed columns.
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
    /// Reads the rows of the frame.
    pub(super) fn read(self, model: Model<'_>) -> Result<Instances, BodyError> {
        let names = self.columns.filter(|_| !takes_no_names(model.layout, model.contract));
        let Some(names) = names else {
            if self.data.get().len() > MAX_ROWS_BYTES {
                return Err(too_many(SPLIT_DATA));
            }
            let mut rows = model.rows();
            read_list_of_rows(self.data, SPLIT_DATA, &mut rows)?;
            each_item(self.data, SPLIT_DATA, &mut |row, json| {
                if json.get().starts_with('{') {
                    let place = format!("{SPLIT_DATA}/{row}");
                    return Err(BodyError::invalid(&place, "wrong_form", "expected a list of values"));
                }
                Ok(())
            })?;
            return instances(rows.count(), PredictInputs::Rows(rows.finish()), SPLIT_DATA);
        };
        let columns: Vec<ColumnName> = read_few(names, SPLIT_COLUMNS)?;
        let mut names = HashSet::new();
        for (index, ColumnName(name)) in columns.iter().enumerate() {
            if !names.insert(name) {
                let place = format!("{SPLIT_COLUMNS}/{index}");
                return Err(BodyError::invalid(
                    &place,
                    "duplicate",
                    format!("`{name}` occurs more than once"),
                ));
            }
        }
        let rows = SplitRows::read(self.data, columns)?;
        instances(rows.count(), read_objects(&rows, SPLIT_DATA, model)?, SPLIT_DATA)
    }
}

/// The rows of a split frame.
struct SplitRows<'b> {
    columns: Vec<ColumnName>,
    data: &'b RawValue,
    count: usize,
    /// The rows as objects, if their text is short.
    held: Vec<Entries<'b>>,
}

impl<'b> SplitRows<'b> {
    fn read(data: &'b RawValue, columns: Vec<ColumnName>) -> Result<Self, BodyError> {
        let Glance { count, .. } = read(data, SPLIT_DATA)?;
        if count > MAX_VALUES {
            return Err(too_many(SPLIT_DATA));
        }
        if count == 0 {
            return Err(no_rows(SPLIT_DATA));
        }
        if count.saturating_mul(columns.len().max(1)) > MAX_VALUES {
            return Err(too_many(SPLIT_DATA));
        }
        let mut rows = Self { columns, data, count, held: Vec::new() };
        let is_held = data.get().len() <= HELD_BYTES;
        let mut held = Vec::with_capacity(if is_held { count } else { 0 });
        rows.each_read(&mut |_, row| {
            if is_held {
                held.push(row);
            }
            Ok(())
        })?;
        rows.held = held;
        Ok(rows)
    }

    fn each_read(
        &self,
        visit: &mut dyn FnMut(usize, Entries<'b>) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        each_item(self.data, SPLIT_DATA, &mut |index, row| visit(index, object(row, &self.columns, index)?))
    }
}

impl<'b> Objects<'b> for SplitRows<'b> {
    fn count(&self) -> usize {
        self.count
    }

    fn each(&self, visit: Visit<'_, 'b>) -> Result<(), BodyError> {
        if self.held.is_empty() {
            return self.each_read(&mut |index, row| visit(index, &row));
        }
        self.held.iter().enumerate().try_for_each(|(index, row)| visit(index, row))
    }
}

/// Reads a list, unless it is so long that reading it would fill the memory.
fn read_few<'b, T: Deserialize<'b>>(json: &'b RawValue, place: &str) -> Result<Vec<T>, BodyError> {
    let Glance { count, .. } = read(json, place)?;
    if count > MAX_VALUES { Err(too_many(place)) } else { read(json, place) }
}

/// Returns a row as an object of its values by column name.
fn object<'b>(row: &'b RawValue, columns: &[ColumnName], index: usize) -> Result<Entries<'b>, BodyError> {
    let place = &format!("{SPLIT_DATA}/{index}");
    let values: Vec<&RawValue> = read_few(row, place)?;
    if values.len() != columns.len() {
        let message = format!("expected {} values, one a column, got {}", columns.len(), values.len());
        return Err(BodyError::invalid(place, "wrong_count", message));
    }
    let names = columns.iter().map(|ColumnName(name)| name.clone());
    Ok(Entries(names.zip(values).collect::<BTreeMap<_, _>>()))
}

/// Returns true if the columns of a model are identified by their order alone.
pub(super) fn takes_no_names(layout: Option<&Layout>, contract: &Contract) -> bool {
    let is_matrix = layout.is_some_and(|layout| matches!(layout.inputs, RowInputs::Matrix { .. }));
    is_matrix && contract.features.is_empty()
}

/// Reads a frame in the form of pandas with `orient="records"`.
pub(super) fn read_records(json: &RawValue, place: &str, model: Model<'_>) -> Result<Instances, BodyError> {
    let records = ObjectList::read(json, place)?;
    if records.count() == 0 {
        return Err(no_rows(place));
    }
    instances(records.count(), read_objects(&records, place, model)?, place)
}

/// Returns these rows, or an error if there are none.
pub(super) fn instances(count: usize, given: PredictInputs, place: &str) -> Result<Instances, BodyError> {
    if count == 0 { Err(no_rows(place)) } else { Ok(Instances { given, count }) }
}

fn no_rows(place: &str) -> BodyError {
    BodyError::invalid(place, "no_rows", "expected at least one row")
}
