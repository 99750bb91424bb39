//! Objects and lists whose values are parsed later, once their expected form is known.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Maximum number of values by name: each takes about a hundred bytes, and a body may be large.
pub(in crate::protocols) const MAX_VALUES: usize = 1 << 20;

/// The values of an object by name.
#[derive(Clone, Debug, Default)]
pub(in crate::protocols) struct Entries<'b>(pub(in crate::protocols) BTreeMap<String, &'b RawValue>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Entries<'de>, A::Error> {
                let mut read = BTreeMap::new();
                while let Some((name, value)) = entries.next_entry::<String, &RawValue>()? {
                    match read.entry(name) {
                        Entry::Vacant(entry) => entry.insert(value),
                        Entry::Occupied(entry) => {
                            let message = format!("`{}` is given more than once", entry.key());
                            return Err(A::Error::custom(message));
                        }
                    };
                    if read.len() > MAX_VALUES {
                        return Err(A::Error::custom("these are too many values for one request"));
                    }
                }
                Ok(Entries(read))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// The first item of a list, and the number of items.
#[derive(Debug)]
pub(in crate::protocols) struct Glance<'b> {
    pub(in crate::protocols) first: Option<&'b RawValue>,
    pub(in crate::protocols) count: usize,
}

impl<'de> Deserialize<'de> for Glance<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GlanceVisitor;

        impl<'de> Visitor<'de> for GlanceVisitor {
            type Value = Glance<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Glance<'de>, A::Error> {
                let first: Option<&RawValue> = items.next_element()?;
                let mut count = usize::from(first.is_some());
                while items.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Glance { first, count })
            }
        }

        deserializer.deserialize_seq(GlanceVisitor)
    }
}

/// The kind of a JSON text, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocols) enum Kind {
    Object,
    List,
    /// A number, a text, true, false, null, or `{"b64": "…"}`, which stands for a text.
    Value,
}

pub(in crate::protocols) fn kind(json: &RawValue) -> Kind {
    let json = json.get().trim_ascii_start();
    match json.as_bytes().first() {
        Some(b'{') if json[1..].trim_ascii_start().starts_with(r#""b64""#) => Kind::Value,
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        _ => Kind::Value,
    }
}
