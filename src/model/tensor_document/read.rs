//! Reading tensors from any self-describing format, without judging them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Cell, Form, TensorDocument, TensorDocuments};

/// So many faults of form are told apart.
const MAX_FAULTS: usize = 10;

/// A document that is being read.
#[derive(Default)]
struct Reader {
    cells: Vec<Cell>,
    /// The size of the lists at each depth, once the first one at that depth has ended.
    sizes: Vec<Option<usize>>,
    /// At which depth the values stand, once there was one.
    values_at: Option<usize>,
    /// Where we are.
    position: Vec<usize>,
    faults: Vec<(String, String)>,
}

impl Reader {
    fn fault(&mut self, path: String, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push((path, message.into()));
        }
    }

    fn here(&self) -> String {
        self.position.iter().fold(String::new(), |path, step| path + "/" + &step.to_string())
    }

    fn begin_list(&mut self) {
        let depth = self.position.len();
        if self.values_at.is_some_and(|values_at| depth >= values_at) {
            self.fault(self.here(), "expected a value like the one before, got a list");
        }
        if self.sizes.len() == depth {
            self.sizes.push(None);
        }
    }

    fn end_list(&mut self, size: usize) {
        let depth = self.position.len();
        match self.sizes.get_mut(depth) {
            Some(slot @ None) => *slot = Some(size),
            Some(Some(expected)) if *expected != size => {
                let message = format!("expected a list of {expected} items like the one before, got {size}");
                self.fault(self.here(), message);
            }
            _ => {}
        }
    }

    fn value(&mut self, cell: Cell) {
        let depth = self.position.len();
        if self.sizes.len() > depth {
            self.fault(self.here(), "expected a list like the one before, got a value");
        }
        self.values_at.get_or_insert(depth);
        self.cells.push(cell);
    }

    fn nested(self) -> TensorDocument {
        TensorDocument {
            shape: self.sizes.into_iter().map(Option::unwrap_or_default).collect(),
            cells: self.cells,
            form: Form::Nested,
            datatype: None,
            faults: self.faults,
        }
    }
}

impl<'de> Deserialize<'de> for TensorDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut reader = Reader::default();
        let flat = Node { reader: &mut reader, outermost: true }.deserialize(deserializer)?;
        Ok(flat.unwrap_or_else(|| reader.nested()))
    }
}

/// A value or list at some depth; the answer is a document if it was a flat one.
struct Node<'r> {
    reader: &'r mut Reader,
    outermost: bool,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Option<TensorDocument>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Option<TensorDocument>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nested lists of values, or an object with `shape` and `data`")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        self.reader.value(Cell::Bool(truth));
        Ok(None)
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Self::Value, E> {
        self.reader.value(Cell::Integer(integer.into()));
        Ok(None)
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Self::Value, E> {
        self.reader.value(Cell::Integer(integer.into()));
        Ok(None)
    }

    fn visit_f64<E>(self, float: f64) -> Result<Self::Value, E> {
        self.reader.value(Cell::Float(float));
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        self.reader.value(Cell::Text(text.to_owned()));
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.reader.value(Cell::Null);
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let reader = self.reader;
        reader.begin_list();
        let mut size = 0;
        loop {
            reader.position.push(size);
            let item = items.next_element_seed(Node { reader: &mut *reader, outermost: false });
            reader.position.pop();
            if item?.is_none() {
                break;
            }
            size += 1;
        }
        reader.end_list(size);
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        if self.outermost {
            return read_flat(entries).map(Some);
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.reader.value(Cell::Misplaced("an object"));
        Ok(None)
    }
}

fn read_flat<'de, A: MapAccess<'de>>(mut entries: A) -> Result<TensorDocument, A::Error> {
    let (mut shape, mut data, mut datatype) = (None, None, None);
    let mut faults = Vec::new();
    while let Some(name) = entries.next_key::<String>()? {
        let twice = match name.as_str() {
            "shape" => shape.replace(entries.next_value::<List>()?).is_some(),
            "data" => data.replace(entries.next_value::<List>()?).is_some(),
            "datatype" => datatype.replace(entries.next_value::<String>()?).is_some(),
            _ => {
                entries.next_value::<IgnoredAny>()?;
                let path = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                faults.push((path, "a tensor has `shape`, `data` and `datatype`, nothing else".to_owned()));
                false
            }
        };
        if twice {
            return Err(A::Error::custom(format!("duplicate field `{name}`")));
        }
    }
    let mut list = |name: &str, list: Option<List>| match list {
        Some(List(Some(cells))) => cells,
        Some(List(None)) => {
            faults.push((format!("/{name}"), "expected a list".to_owned()));
            Vec::new()
        }
        None => {
            faults.push((String::new(), format!("a tensor given as an object has `{name}`")));
            Vec::new()
        }
    };
    let (sizes, cells) = (list("shape", shape), list("data", data));
    let mut shape = Vec::with_capacity(sizes.len());
    for (index, size) in sizes.iter().enumerate() {
        match size {
            Cell::Integer(size) if usize::try_from(*size).is_ok() => {
                shape.extend(usize::try_from(*size));
            }
            _ => {
                faults.push((format!("/shape/{index}"), "expected a size: a whole number from 0".to_owned()));
            }
        }
    }
    faults.truncate(MAX_FAULTS);
    Ok(TensorDocument { shape, cells, form: Form::Flat, datatype, faults })
}

/// The values of a list, or nothing for what is none.
struct List(Option<Vec<Cell>>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = List;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = items.next_element()? {
                    cells.push(cell);
                }
                Ok(List(Some(cells)))
            }

            fn visit_bool<E>(self, _: bool) -> Result<List, E> {
                Ok(List(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<List, E> {
                Ok(List(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<List, E> {
                Ok(List(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<List, E> {
                Ok(List(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<List, E> {
                Ok(List(None))
            }

            fn visit_unit<E>(self) -> Result<List, E> {
                Ok(List(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<List, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(List(None))
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}

impl<'de> Deserialize<'de> for TensorDocuments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DocumentsVisitor;

        impl<'de> Visitor<'de> for DocumentsVisitor {
            type Value = TensorDocuments;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors by input name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<TensorDocuments, A::Error> {
                let mut documents = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    documents.push(entry);
                }
                Ok(TensorDocuments(documents))
            }
        }

        deserializer.deserialize_map(DocumentsVisitor)
    }
}
