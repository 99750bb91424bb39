//! Reader of rows in JSON text, which does not check them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{Cell, Row};
use crate::model::{Token, Tokens};

/// The message of `serde_json` for a number beyond the greatest 64-bit float.
pub(crate) const OUT_OF_RANGE: &str = "number out of range";

impl<'de> Deserialize<'de> for Cell {
    /// Reads a value from its text, because a float would lose digits of whole numbers. The JSON must be in memory as
    /// text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        match Tokens::new(json).next().map_or(Self::Null, Token::cell) {
            Self::Float(number) if number.is_infinite() => Err(D::Error::custom(OUT_OF_RANGE)),
            cell => Ok(cell),
        }
    }
}

impl Cell {
    /// Converts a JSON value to a cell.
    pub(in crate::model) fn of_json(json: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&json.to_string())
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of values or an object of values by feature name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Row, A::Error> {
        let mut cells = Vec::with_capacity(items.size_hint().unwrap_or(8).min(1024));
        while let Some(cell) = items.next_element()? {
            cells.push(cell);
        }
        Ok(Row::Positional(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Row, A::Error> {
        let mut cells = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            cells.push(entry);
        }
        Ok(Row::Named(cells))
    }
}
