//! Rows of JSON lines: objects by column name, or lists in the model's order.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    block::Parsed,
    column::{Column, Texts},
    csv::plain_number,
    encode::{CellSource, Checker, Encoder},
    error::ScoringError,
    file_columns::{FileColumns, ModelColumns, Selection},
    row_error::{RowError, raw},
};
use crate::model::{Cell, Token, Tokens};

/// The rows of a file of JSON lines.
#[derive(Debug)]
pub(super) struct JsonRows {
    /// The number of each column of the model, by name.
    by_name: HashMap<String, usize>,
    pub(super) columns: FileColumns,
    kept: Kept,
}

/// The members that are passed through.
#[derive(Debug)]
enum Kept {
    /// Any, as text: the output is JSON lines too.
    Members {
        selection: Selection,
        /// Members that the output has of its own.
        taken: HashSet<String>,
    },
    /// Members of the first block: the output has columns.
    Columns {
        by_name: HashMap<String, usize>,
        /// True if the others are dropped.
        drop: bool,
    },
}

impl JsonRows {
    /// Finds the members of the first block, and matches them with the columns of the model. `taken` are the members of
    /// the output if that is JSON lines.
    pub(super) fn open(
        first: &[u8],
        file: &str,
        model: &ModelColumns,
        selection: &Selection,
        taken: Option<HashSet<String>>,
    ) -> Result<Self, ScoringError> {
        let Found { names, has_lists, has_objects } = Found::of(first);
        if has_objects && !model.are_named {
            let columns = model.columns.len();
            let problem = format!(
                "the model names no features: write each row as a list of its {columns} values, or name the members \
                 that it takes with --columns"
            );
            return Err(ScoringError::input(file, problem));
        }
        let columns = if has_objects && !has_lists {
            FileColumns::of(Some(&names), names.len(), model, selection)
        } else {
            // Lists hold every column of the model; other rows are judged one by one.
            let own: Vec<String> = model.names().map(str::to_owned).collect();
            let others = names.into_iter().filter(|name| !own.contains(name));
            let all: Vec<String> = own.iter().cloned().chain(others).collect();
            let named = model.are_named.then_some(all.as_slice());
            FileColumns::of(named, all.len(), model, selection)
        };
        let columns = columns.map_err(|faults| ScoringError::Columns { faults })?;
        let by_name = columns.names.iter().cloned().zip(0..).collect();
        let kept = match taken {
            Some(taken) => Kept::Members { selection: selection.clone(), taken },
            None => Kept::Columns {
                by_name: columns.kept.iter().map(|(_, name)| name.clone()).zip(0..).collect(),
                drop: selection.drop,
            },
        };
        Ok(Self { by_name, columns, kept })
    }

    /// Reads the rows of a block.
    pub(super) fn parse(&self, text: &[u8], rows: usize, model: Checker<'_>) -> Parsed {
        let mut encoder = Encoder::new(model, &self.columns, rows);
        let mut kept = self.no_kept();
        let mut places = Vec::with_capacity(rows);
        let mut begin = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let end = begin + line.len();
            if !line.trim_ascii().is_empty() {
                match serde_json::from_slice::<JsonRow<'_>>(line) {
                    Ok(row) => self.add(&row, &mut encoder, &mut kept),
                    Err(error) => {
                        encoder.reject(vec![RowError::of_row("malformed_json", malformed(&error))]);
                        for texts in &mut kept {
                            texts.push(b"");
                        }
                    }
                }
                places.push((begin, end));
            }
            begin = end;
        }
        let column = match self.kept {
            Kept::Members { .. } => Column::Members,
            Kept::Columns { .. } => Column::Json,
        };
        Parsed { places, encoded: encoder.finish(), kept: kept.into_iter().map(column).collect() }
    }

    fn no_kept(&self) -> Vec<Texts> {
        let count = match &self.kept {
            Kept::Members { .. } => 1,
            Kept::Columns { by_name, .. } => by_name.len(),
        };
        vec![Texts::default(); count]
    }

    /// Adds a row and the members that are passed through.
    fn add(&self, row: &JsonRow<'_>, encoder: &mut Encoder<'_>, kept: &mut [Texts]) {
        let columns = self.columns.names.len();
        match row {
            JsonRow::List(values) if values.len() == columns => {
                encoder.push(&JsonCells(&values.iter().map(|value| Some(*value)).collect::<Vec<_>>()));
                for texts in kept.iter_mut() {
                    texts.push(b"");
                }
            }
            JsonRow::List(values) => {
                let message = format!("expected {columns} values, got {}", values.len());
                encoder.reject(vec![RowError::of_row("wrong_count", message)]);
                for texts in kept.iter_mut() {
                    texts.push(b"");
                }
            }
            JsonRow::Members(members) => {
                let mut values = vec![None; columns];
                let mut faults = Vec::new();
                for (position, (name, value)) in members.iter().enumerate() {
                    // Most rows have the members in the order of the model.
                    let is_next = self.columns.names.get(position).is_some_and(|own| own == name);
                    let column =
                        if is_next { Some(position) } else { self.by_name.get(name.as_ref()).copied() };
                    let place = column.and_then(|column| values.get_mut(column));
                    if place.is_some_and(|place| place.replace(*value).is_some()) {
                        let message = format!("`{name}` is given more than once");
                        faults.push(RowError::of_column(name, "duplicate", message));
                    }
                }
                self.keep(members, kept, &mut faults);
                if faults.is_empty() { encoder.push(&JsonCells(&values)) } else { encoder.reject(faults) }
            }
        }
    }

    /// Adds the members that are passed through.
    fn keep(&self, members: &[Member<'_>], kept: &mut [Texts], faults: &mut Vec<RowError>) {
        match (&self.kept, kept) {
            (Kept::Members { selection, taken }, [texts]) => texts.push_with(|out| {
                let begin = out.len();
                for (name, value) in members.iter().filter(|(name, _)| self.is_kept(name, selection)) {
                    if taken.contains(name.as_ref()) {
                        let message = format!("the output has `{name}` of its own: use --drop or --prefix");
                        faults.push(RowError::of_column(name, "duplicate", message));
                        continue;
                    }
                    if out.len() > begin {
                        out.push(b',');
                    }
                    // Writing to memory cannot fail.
                    let _ = serde_json::to_writer(&mut *out, name);
                    out.push(b':');
                    out.extend_from_slice(value.get().as_bytes());
                }
            }),
            (Kept::Columns { by_name, drop }, kept) => {
                let mut values: Vec<&[u8]> = vec![b""; kept.len()];
                for (name, value) in members {
                    if let Some(place) = by_name.get(name.as_ref()).and_then(|place| values.get_mut(*place)) {
                        *place = value.get().as_bytes();
                    } else if !drop && !self.by_name.contains_key(name.as_ref()) {
                        let message = format!(
                            "the first rows do not have `{name}`, so the output has no column for it: use --drop, or \
                             write JSON lines"
                        );
                        faults.push(RowError::of_column(name, "unknown_column", message));
                    }
                }
                for (texts, value) in kept.iter_mut().zip(values) {
                    texts.push(value);
                }
            }
            (Kept::Members { .. }, _) => {}
        }
    }

    fn is_kept(&self, name: &str, selection: &Selection) -> bool {
        let is_named = || selection.keep.iter().any(|kept| kept == name);
        (!selection.drop && !self.by_name.contains_key(name)) || is_named()
    }

    /// Returns a row as JSON: as it is, or as a text if it is not JSON.
    pub(super) fn shown(line: &[u8]) -> Box<RawValue> {
        let line = line.trim_ascii();
        serde_json::from_slice(line).unwrap_or_else(|_| raw(&String::from_utf8_lossy(line)))
    }
}

/// The members of the rows of a block.
struct Found {
    /// The names, in the order in which they occur.
    names: Vec<String>,
    has_lists: bool,
    has_objects: bool,
}

impl Found {
    fn of(text: &[u8]) -> Self {
        let mut found = Self { names: Vec::new(), has_lists: false, has_objects: false };
        let mut known = HashSet::new();
        for line in text.split(|byte| *byte == b'\n') {
            match serde_json::from_slice::<JsonRow<'_>>(line) {
                Ok(JsonRow::List(_)) => found.has_lists = true,
                Ok(JsonRow::Members(members)) => {
                    found.has_objects = true;
                    for (name, _) in members {
                        if known.insert(name.clone().into_owned()) {
                            found.names.push(name.into_owned());
                        }
                    }
                }
                Err(_) => {}
            }
        }
        found
    }
}

fn malformed(error: &serde_json::Error) -> String {
    if error.is_data() {
        return "expected an object of values by column, or a list of values".to_owned();
    }
    format!("the line is not JSON at column {}", error.column())
}

type Member<'r> = (Cow<'r, str>, &'r RawValue);

/// A row in one line.
enum JsonRow<'r> {
    List(Vec<&'r RawValue>),
    Members(Vec<Member<'r>>),
}

impl<'de> Deserialize<'de> for JsonRow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = JsonRow<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of values by column, or a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(JsonRow::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(Name(name)) = entries.next_key()? {
            members.push((name, entries.next_value()?));
        }
        Ok(JsonRow::Members(members))
    }
}

/// A member's name, which is copied only if it has escapes.
#[derive(Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// The values of a row, by column of the model.
struct JsonCells<'r>(&'r [Option<&'r RawValue>]);

impl CellSource for JsonCells<'_> {
    fn number(&self, column: usize) -> Option<f64> {
        let text = (*self.0.get(column)?)?.get();
        let float = || {
            text.parse()
                .ok()
                .filter(|_| text.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
        };
        plain_number(text.as_bytes()).or_else(float)
    }

    fn cell(&self, column: usize) -> Cell {
        let value = self.0.get(column).copied().flatten();
        value.and_then(|value| Tokens::new(value.get()).next()).map_or(Cell::Null, Token::cell)
    }
}
