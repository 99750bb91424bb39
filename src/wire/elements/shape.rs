//! The shape of a tensor that says it only by its lists.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{ElementFault, wrong_form};

/// The shape of nested lists, as the first item at each depth has it. Whether the others have it too is seen when their
/// elements are read.
pub(in crate::wire) fn shape_of(json: &str) -> Result<Vec<usize>, ElementFault> {
    let mut shape = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match Sizes(&mut shape, 0).deserialize(&mut deserializer) {
        Ok(()) => Ok(shape),
        Err(error) => Err(wrong_form(String::new(), error.to_string())),
    }
}

/// The sizes of the lists from this depth on.
struct Sizes<'s>(&'s mut Vec<usize>, usize);

impl<'de> DeserializeSeed<'de> for Sizes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sizes<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nested lists")
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(shape, depth) = self;
        shape.push(0);
        if items.next_element_seed(Sizes(&mut *shape, depth + 1))?.is_none() {
            return Ok(());
        }
        let mut size = 1;
        while items.next_element::<IgnoredAny>()?.is_some() {
            size += 1;
        }
        shape[depth] = size;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_items_tell_the_shape() {
        for (json, shape) in [
            ("7", &[][..]),
            ("[]", &[0]),
            ("[[], []]", &[2, 0]),
            ("[[1, 2, 3], [4]]", &[2, 3]),
            (r#"[{"b64": "eA=="}]"#, &[1]),
        ] {
            assert_eq!(shape_of(json).unwrap(), shape, "{json}");
        }
    }
}
