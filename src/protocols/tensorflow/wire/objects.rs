//! Lists of objects of values by name, one per row. Short lists are held; long ones are read again for each use, as an
//! object takes many times the memory of its text.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    entries::{Entries, Glance, Kind, MAX_VALUES, kind},
    read_part::{read, too_many},
};
use crate::codec::BodyError;

/// Maximum length of texts that are held as objects.
pub(in crate::protocols) const HELD_BYTES: usize = 256 * 1024;

/// Callback for each row and its index.
pub(in crate::protocols) type Visit<'v, 'b> = &'v mut dyn FnMut(usize, &Entries<'b>) -> Result<(), BodyError>;

/// Objects of values by name, one per row.
pub(in crate::protocols) trait Objects<'b> {
    /// Returns the number of objects.
    fn count(&self) -> usize;

    /// Visits all objects, up to the first error.
    fn each(&self, visit: Visit<'_, 'b>) -> Result<(), BodyError>;
}

/// A list that holds only objects.
pub(in crate::protocols) enum ObjectList<'b, 'p> {
    /// The objects.
    Held(Vec<Entries<'b>>),
    /// The text, its place, and the number of objects.
    Text(&'b RawValue, &'p str, usize),
}

impl<'b, 'p> ObjectList<'b, 'p> {
    /// Reads a list of objects.
    ///
    /// # Errors
    ///
    /// If it is not a list of objects only, or they have too many values.
    pub(in crate::protocols) fn read(json: &'b RawValue, place: &'p str) -> Result<Self, BodyError> {
        let Glance { count, .. } = read(json, place)?;
        if count > MAX_VALUES {
            return Err(too_many(place));
        }
        let is_held = json.get().len() <= HELD_BYTES;
        let mut held = Vec::with_capacity(if is_held { count } else { 0 });
        let mut values = count;
        each_item(json, place, &mut |index, item| {
            let at = || format!("{place}/{index}");
            if kind(item) != Kind::Object {
                return Err(BodyError::invalid(&at(), "wrong_form", "expected an object of values by name"));
            }
            let object: Entries<'b> = read_at(item, place, index)?;
            values += object.0.len();
            if values > MAX_VALUES {
                return Err(too_many(place));
            }
            if is_held {
                held.push(object);
            }
            Ok(())
        })?;
        Ok(if is_held { Self::Held(held) } else { Self::Text(json, place, count) })
    }
}

impl<'b> Objects<'b> for ObjectList<'b, '_> {
    fn count(&self) -> usize {
        match self {
            Self::Held(objects) => objects.len(),
            Self::Text(_, _, count) => *count,
        }
    }

    fn each(&self, visit: Visit<'_, 'b>) -> Result<(), BodyError> {
        match self {
            Self::Held(objects) => {
                objects.iter().enumerate().try_for_each(|(index, object)| visit(index, object))
            }
            Self::Text(json, place, _) => {
                each_item(json, place, &mut |index, item| visit(index, &read_at(item, place, index)?))
            }
        }
    }
}

/// Objects that share some values.
pub(super) struct InContext<'b, 'p> {
    pub(super) objects: ObjectList<'b, 'p>,
    pub(super) context: BTreeMap<String, &'b RawValue>,
}

impl<'b> Objects<'b> for InContext<'b, '_> {
    fn count(&self) -> usize {
        self.objects.count()
    }

    fn each(&self, visit: Visit<'_, 'b>) -> Result<(), BodyError> {
        self.objects.each(&mut |index, object| {
            let mut object = object.clone();
            object.0.extend(self.context.iter().map(|(name, value)| (name.clone(), *value)));
            visit(index, &object)
        })
    }
}

/// Reads an item; its place is only built for an error.
fn read_at<'b>(item: &'b RawValue, place: &str, index: usize) -> Result<Entries<'b>, BodyError> {
    match serde_json::from_str(item.get()) {
        Ok(object) => Ok(object),
        Err(_) => read(item, &format!("{place}/{index}")),
    }
}

/// Visits the items of a list, up to the first error.
pub(in crate::protocols) fn each_item<'b>(
    json: &'b RawValue,
    place: &str,
    visit: &mut dyn FnMut(usize, &'b RawValue) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    struct Items<'v, 'b> {
        visit: &'v mut dyn FnMut(usize, &'b RawValue) -> Result<(), BodyError>,
        fault: &'v mut Option<BodyError>,
    }

    impl<'b> Visitor<'b> for Items<'_, 'b> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
            let mut index = 0;
            while let Some(item) = items.next_element()? {
                if let Err(fault) = (self.visit)(index, item) {
                    *self.fault = Some(fault);
                    return Err(A::Error::custom("an item is wrong"));
                }
                index += 1;
            }
            Ok(())
        }
    }

    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(json.get());
    let read = deserializer.deserialize_seq(Items { visit, fault: &mut fault });
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(BodyError::invalid(place, "wrong_form", error.to_string())),
    }
}
