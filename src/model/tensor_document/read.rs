//! Reader of tensors in JSON text, which does not check them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Cell, Form, TensorDocument, TensorDocuments};
use crate::model::{Token, Tokens};

/// Most nested lists.
const MAX_DEPTH: usize = 128;

/// The most faults of form to report.
const MAX_FAULTS: usize = 10;

/// A document that is being read.
#[derive(Default)]
struct Reader {
    /// The size of the lists at each depth, once the first list at that depth has ended.
    sizes: Vec<Option<usize>>,
    /// The depth of the values; `None` before the first one.
    values_at: Option<usize>,
    /// Index path of the current value.
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

    fn value(&mut self) {
        let depth = self.position.len();
        if self.sizes.len() > depth {
            self.fault(self.here(), "expected a list like the one before, got a value");
        }
        self.values_at.get_or_insert(depth);
    }

    fn nested(self, elements: &str) -> TensorDocument<'_> {
        TensorDocument {
            shape: self.sizes.into_iter().map(Option::unwrap_or_default).collect(),
            elements,
            form: Form::Nested,
            datatype: None,
            faults: self.faults,
        }
    }
}

impl<'de> Deserialize<'de> for TensorDocument<'de> {
    /// Reads the form of a tensor; its elements are read from its text once their type is known. The JSON must be in
    /// memory as text: a float would lose digits of whole numbers.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json.starts_with('{') {
            return serde_json::from_str::<Flat>(json).map(|Flat(flat)| flat).map_err(D::Error::custom);
        }
        let mut reader = Reader::default();
        for token in Tokens::new(json) {
            match token {
                Token::Begin if reader.position.len() == MAX_DEPTH => {
                    return Err(D::Error::custom("the lists are deeper than those of any tensor"));
                }
                Token::Begin => {
                    reader.begin_list();
                    reader.position.push(0);
                    continue;
                }
                Token::End => {
                    let size = reader.position.pop().unwrap_or_default();
                    reader.end_list(size);
                }
                _ => reader.value(),
            }
            if let Some(items) = reader.position.last_mut() {
                *items += 1;
            }
        }
        Ok(reader.nested(json))
    }
}

/// A tensor as an object.
struct Flat<'b>(TensorDocument<'b>);

impl<'de> Deserialize<'de> for Flat<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlatVisitor;

        impl<'de> Visitor<'de> for FlatVisitor {
            type Value = Flat<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with `shape` and `data`")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Flat<'de>, A::Error> {
                read_flat(entries).map(Flat)
            }
        }

        deserializer.deserialize_map(FlatVisitor)
    }
}

fn read_flat<'de, A: MapAccess<'de>>(mut entries: A) -> Result<TensorDocument<'de>, A::Error> {
    let (mut shape, mut data, mut datatype) = (None, None, None);
    let mut faults = Vec::new();
    while let Some(name) = entries.next_key::<String>()? {
        let twice = match name.as_str() {
            "shape" => shape.replace(entries.next_value::<List>()?).is_some(),
            "data" => data.replace(entries.next_value::<List>()?).is_some(),
            "datatype" => datatype.replace(entries.next_value::<Option<String>>()?).is_some(),
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
    let mut list = |name: &str, list: Option<List<'de>>| -> &'de str {
        match list {
            Some(List(Some(text))) => text,
            Some(List(None)) => {
                faults.push((format!("/{name}"), "expected a list".to_owned()));
                ""
            }
            None => {
                faults.push((String::new(), format!("a tensor given as an object has `{name}`")));
                ""
            }
        }
    };
    let (sizes, elements) = (list("shape", shape), list("data", data));
    let mut shape = Vec::new();
    for (index, size) in Values::new(sizes, Form::Flat).enumerate() {
        if index == MAX_DEPTH {
            faults.push(("/shape".to_owned(), format!("expected at most {MAX_DEPTH} sizes")));
            break;
        }
        match size {
            Cell::Integer(size) if usize::try_from(size).is_ok() => {
                shape.extend(usize::try_from(size));
            }
            _ => {
                faults.push((format!("/shape/{index}"), "expected a size: a whole number from 0".to_owned()));
            }
        }
    }
    faults.truncate(MAX_FAULTS);
    Ok(TensorDocument { shape, elements, form: Form::Flat, datatype: datatype.flatten(), faults })
}

/// The text of a list; `None` for any other value.
struct List<'b>(Option<&'b str>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self((Tokens::new(json).next() == Some(Token::Begin)).then_some(json)))
    }
}

/// Iterator over the values in the text of a tensor's elements.
pub(super) struct Values<'t> {
    tokens: Tokens<'t>,
    form: Form,
    /// The number of open lists.
    depth: usize,
}

impl<'t> Values<'t> {
    pub(super) fn new(elements: &'t str, form: Form) -> Self {
        Self { tokens: Tokens::new(elements), form, depth: 0 }
    }
}

impl Iterator for Values<'_> {
    type Item = Cell;

    fn next(&mut self) -> Option<Cell> {
        loop {
            let token = self.tokens.next()?;
            match token {
                Token::Begin => self.depth += 1,
                Token::End => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            let is_value = match self.form {
                Form::Nested => !matches!(token, Token::Begin | Token::End),
                // A list within the list is one value, which no tensor accepts.
                Form::Flat => token != Token::End && self.depth == 1 + usize::from(token == Token::Begin),
            };
            if is_value {
                return Some(token.cell());
            }
        }
    }
}

impl<'de> Deserialize<'de> for TensorDocuments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DocumentsVisitor;

        impl<'de> Visitor<'de> for DocumentsVisitor {
            type Value = TensorDocuments<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors by input name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<TensorDocuments<'de>, A::Error> {
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
