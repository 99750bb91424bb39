//! A list of rows as JSON.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};

use crate::model::RowsReader;

/// Seed that reads a list of rows one after the other.
pub(crate) struct ListOfRows<'r, 'l>(pub(crate) &'r mut RowsReader<'l>);

impl<'de> DeserializeSeed<'de> for ListOfRows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListOfRows<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            self.0.push(row);
        }
        Ok(())
    }
}
