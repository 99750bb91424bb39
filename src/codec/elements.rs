//! The elements of a tensor as JSON, nested or flat: numbers are read straight into a list of their type.

mod element;
mod shape;

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::MapAccessDeserializer,
    },
};

use self::element::Element;
use crate::model::{
    Cell, ElementType, TensorData, Token, Tokens, element_objection, element_types, number, unquoted,
};
pub(crate) use shape::shape_of;

/// An error in the elements.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ElementFault {
    /// The place below the elements, as a JSON pointer.
    pub(crate) path: String,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// The allowed forms of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// JSON strings.
    Plain,
    /// JSON strings, or `{"b64": "…"}`.
    PlainOrBase64,
}

/// Reads the elements of this JSON text, whose number follows from the shape.
pub(crate) fn elements_from_json(
    json: &str,
    element_type: ElementType,
    shape: &[usize],
    count: usize,
) -> Result<TensorData, ElementFault> {
    elements_of_items(&[json], element_type, shape, count, TextForm::Plain).map_err(|(_, fault)| fault)
}

/// Reads the elements of several JSON texts, one after the other, each of the same shape. An error names its text.
pub(crate) fn elements_of_items(
    items: &[&str],
    element_type: ElementType,
    shape: &[usize],
    count: usize,
    texts: TextForm,
) -> Result<TensorData, (usize, ElementFault)> {
    macro_rules! read {
        ($($variant:ident $type:ty),*) => {
            match element_type {
                $(ElementType::$variant => read_items(items, element_type, shape, count, texts)
                    .map(|elements| TensorData::$variant(elements.into())),)*
            }
        };
    }
    element_types!(all => read)
}

/// The arrangement of the elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One list.
    Flat,
    /// A list for each dimension.
    Nested,
}

struct Reader<'s, T> {
    element_type: ElementType,
    shape: &'s [usize],
    /// Number of elements once the last one of this text has been read.
    end: usize,
    /// Number of elements of this text.
    count: usize,
    elements: Vec<T>,
    /// The index of the reader in each enclosing list.
    position: Vec<usize>,
    /// `None` until the first element.
    form: Option<Form>,
    texts: TextForm,
    fault: Option<ElementFault>,
}

fn read_items<T: Element>(
    items: &[&str],
    element_type: ElementType,
    shape: &[usize],
    count: usize,
    texts: TextForm,
) -> Result<Vec<T>, (usize, ElementFault)> {
    // An element takes at least two bytes, so an invented shape reserves no memory.
    let bytes: usize = items.iter().map(|json| json.len() / 2 + 1).sum();
    let mut elements = Vec::with_capacity(count.saturating_mul(items.len()).min(bytes));
    for (index, json) in items.iter().enumerate() {
        let end = elements.len().saturating_add(count);
        let reader = Reader {
            element_type,
            shape,
            end,
            count,
            elements,
            position: Vec::with_capacity(shape.len()),
            form: None,
            texts,
            fault: None,
        };
        elements = read(json, reader).map_err(|fault| (index, fault))?;
    }
    Ok(elements)
}

fn read<T: Element>(json: &str, mut reader: Reader<'_, T>) -> Result<Vec<T>, ElementFault> {
    let (shape, end, count, begin) = (reader.shape, reader.end, reader.count, reader.elements.len());
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let mut read = Node(&mut reader).deserialize(&mut deserializer);
    if read.is_err() && reader.fault.is_none() {
        // Likely a number that a float does not hold, or lists nested deeper than in any tensor.
        reader.elements.truncate(begin);
        reader.position.clear();
        reader.form = None;
        read = read_exactly(json, &mut reader);
    }
    let Reader { elements, fault, .. } = reader;
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(wrong_form(String::new(), error.to_string())),
        (None, Ok(())) if elements.len() == end => Ok(elements),
        (None, Ok(())) => {
            Err(wrong_count(shape, count, elements.len().saturating_sub(end.saturating_sub(count))))
        }
    }
}

/// Reads the elements with every digit of their numbers, which takes longer.
fn read_exactly<T: Element>(json: &str, reader: &mut Reader<'_, T>) -> Result<(), serde_json::Error> {
    for token in Tokens::new(json) {
        match token {
            Token::Begin => {
                reader.begin_list()?;
                reader.position.push(0);
                continue;
            }
            Token::End => {
                let size = reader.position.pop().unwrap_or_default();
                reader.end_list(size)?;
            }
            Token::Number(text) => {
                let number = number(text);
                reader.add(T::from_number(&number), || number)?;
            }
            Token::Text(text) => {
                reader.add(unquoted(text).and_then(|text| T::from_text(&text)), || token.cell())?;
            }
            Token::Truth(truth) => reader.add(T::from_truth(truth), || token.cell())?,
            Token::Object(object) if reader.takes_base64() => {
                reader.add_base64(serde_json::from_str(object).ok())?;
            }
            Token::Object(_) | Token::Null => reader.add(None, || token.cell())?,
        }
        if let Some(items) = reader.position.last_mut() {
            *items += 1;
        }
    }
    Ok(())
}

fn wrong_form(path: String, message: impl Into<String>) -> ElementFault {
    ElementFault { path, code: "wrong_form", message: message.into() }
}

fn wrong_count(shape: &[usize], count: usize, given: impl fmt::Display) -> ElementFault {
    let message = format!("the shape {shape:?} holds {count} elements, not {given}");
    ElementFault { path: String::new(), code: "wrong_count", message }
}

impl<T: Element> Reader<'_, T> {
    fn here(&self) -> String {
        self.position.iter().flat_map(|index| ["/".to_owned(), index.to_string()]).collect()
    }

    /// Stops reading: only the first error is reported.
    fn fail<E: serde::de::Error>(&mut self, fault: ElementFault) -> E {
        self.fault = Some(fault);
        E::custom("the elements are wrong")
    }

    /// Checks that an element may stand here.
    fn check_place<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let (depth, rank) = (self.position.len(), self.shape.len());
        let form = match self.form {
            Some(form) => form,
            None if depth == 1 => Form::Flat,
            None => Form::Nested,
        };
        self.form = Some(form);
        let expected = if form == Form::Flat { 1 } else { rank };
        if depth != expected {
            let message = format!(
                "expected a flat list, or lists as deep as the shape {:?}; got a value in list {depth}",
                self.shape
            );
            return Err(self.fail(wrong_form(self.here(), message)));
        }
        if self.elements.len() == self.end {
            return Err(self.fail(wrong_count(self.shape, self.count, "more")));
        }
        Ok(())
    }

    fn add<E: serde::de::Error>(&mut self, element: Option<T>, cell: impl FnOnce() -> Cell) -> Result<(), E> {
        self.check_place()?;
        let Some(element) = element else {
            let objection = element_objection(&cell(), self.element_type, None);
            let (code, message) =
                objection.unwrap_or_else(|| ("wrong_type", format!("expected {}", self.element_type)));
            return Err(self.fail(ElementFault { path: self.here(), code, message }));
        };
        self.elements.push(element);
        Ok(())
    }

    /// Adds a number. If a float does not hold it, stops without an error, so that the caller reads again with every
    /// digit.
    fn add_float<E: serde::de::Error>(&mut self, number: f64) -> Result<(), E> {
        match T::from_float(number) {
            Some(element) => self.add(Some(element), || Cell::Float(number)),
            None => Err(E::custom("every digit of a number is needed")),
        }
    }

    /// Returns true if an object may stand for a text.
    fn takes_base64(&self) -> bool {
        self.texts == TextForm::PlainOrBase64 && self.element_type == ElementType::String
    }

    fn add_base64<E: serde::de::Error>(&mut self, text: Option<Base64>) -> Result<(), E> {
        let Some(text) = text.and_then(Base64::text) else {
            let message = r#"expected a text, or {"b64": "…"} with the base64 of a text in UTF-8"#;
            let fault = wrong_form(self.here(), message);
            return Err(self.fail(fault));
        };
        self.add(T::from_text(&text), || Cell::Text(text.clone()))
    }

    fn begin_list<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let depth = self.position.len();
        // Even a scalar may stand in a list, since `data` always is one.
        let is_too_deep = depth >= self.shape.len().max(1);
        if is_too_deep || (depth > 0 && self.form == Some(Form::Flat)) {
            let message = format!("expected a value: the shape {:?} has no list here", self.shape);
            return Err(self.fail(wrong_form(self.here(), message)));
        }
        Ok(())
    }

    /// Checks the size of a list that ends; `self.position` is that of the list.
    fn end_list<E: serde::de::Error>(&mut self, size: usize) -> Result<(), E> {
        let depth = self.position.len();
        // A flat list has its own size, and an empty one fits any shape with a zero in it.
        let is_flat = depth == 0 && (self.form == Some(Form::Flat) || size == 0);
        match self.shape.get(depth) {
            Some(&expected) if !is_flat && expected != size => {
                let message = format!("expected {expected} items, as the shape says, got {size}");
                Err(self.fail(wrong_form(self.here(), message)))
            }
            _ => Ok(()),
        }
    }
}

/// A text in TensorFlow Serving's form of bytes in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    b64: String,
}

impl Base64 {
    fn text(self) -> Option<String> {
        String::from_utf8(STANDARD.decode(self.b64).ok()?).ok()
    }
}

struct Node<'r, 's, T>(&'r mut Reader<'s, T>);

impl<'de, T: Element> DeserializeSeed<'de> for Node<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Element> Visitor<'de> for Node<'_, '_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of elements")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.0.add(T::from_signed(number), || Cell::Integer(number.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.0.add(T::from_unsigned(number), || Cell::Integer(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.0.add_float(number)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.add(T::from_text(text), || Cell::Text(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<(), E> {
        self.0.add(T::from_truth(truth), || Cell::Bool(truth))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.add(None, || Cell::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let reader = self.0;
        reader.begin_list()?;
        let depth = reader.position.len();
        reader.position.push(0);
        while items.next_element_seed(Node(&mut *reader))?.is_some() {
            reader.position[depth] += 1;
        }
        let size = reader.position.pop().unwrap_or_default();
        reader.end_list(size)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if self.0.takes_base64() {
            return self.0.add_base64(Base64::deserialize(MapAccessDeserializer::new(entries)).ok());
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.add(None, || Cell::Misplaced("an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_shape_make_one_tensor() {
        let read = |items: &[&str]| {
            elements_of_items(items, ElementType::String, &[2], 2, TextForm::PlainOrBase64)
                .map_err(|(item, fault)| (item, fault.path, fault.code))
        };
        let texts = ["a", "b", "ü", "d"].map(str::to_owned).to_vec();
        assert_eq!(read(&[r#"["a", "b"]"#, r#"[{"b64": "w7w="}, "d"]"#]), Ok(TensorData::String(texts)));
        for (second, path, code) in [
            (r#"["a"]"#, "", "wrong_count"),
            (r#"["a", {"b64": "/w=="}]"#, "/1", "wrong_form"),
            (r#"["a", {"b64": "!"}]"#, "/1", "wrong_form"),
            (r#"["a", {"b64": "eA==", "x": 1}]"#, "/1", "wrong_form"),
            (r#"["a", 1]"#, "/1", "wrong_type"),
        ] {
            assert_eq!(read(&[r#"["a", "b"]"#, second]), Err((1, path.to_owned(), code)), "{second}");
        }
    }

    fn fault(json: &str, element_type: ElementType, shape: &[usize]) -> (String, &'static str) {
        let count = shape.iter().product();
        let fault = elements_from_json(json, element_type, shape, count).unwrap_err();
        (fault.path, fault.code)
    }

    #[test]
    fn nested_and_flat_lists_hold_the_same_elements() {
        let numbers = TensorData::I64(vec![1, 2, 3, 4, 5, 9_007_199_254_740_993].into());
        for json in ["[1,2,3,4,5,9007199254740993]", "[[1,2,3],[4,5,9007199254740993]]"] {
            assert_eq!(elements_from_json(json, ElementType::I64, &[2, 3], 6), Ok(numbers.clone()), "{json}");
        }
        let empty = TensorData::F32(Vec::new().into());
        for (json, shape) in [("[]", &[0, 3][..]), ("[[],[]]", &[2, 0]), ("[]", &[2, 0]), ("[]", &[0])] {
            assert_eq!(elements_from_json(json, ElementType::F32, shape, 0), Ok(empty.clone()), "{json}");
        }
        for json in ["7", "[7]"] {
            let seven = TensorData::U8(vec![7].into());
            assert_eq!(elements_from_json(json, ElementType::U8, &[], 1), Ok(seven), "{json}");
        }
    }

    #[test]
    fn every_type_has_its_edges() {
        for (json, element_type, is_right) in [
            ("[-128, 127]", ElementType::I8, true),
            ("[128, 0]", ElementType::I8, false),
            ("[0, 300]", ElementType::U8, false),
            ("[0, -1]", ElementType::U64, false),
            ("[0, 18446744073709551615]", ElementType::U64, true),
            ("[0, 18446744073709551616]", ElementType::U64, false),
            ("[-9223372036854775808, 9223372036854775807]", ElementType::I64, true),
            ("[0, 9223372036854775808]", ElementType::I64, false),
            ("[0, 1.5]", ElementType::I64, false),
            ("[-0.0, 1.0]", ElementType::I64, true),
            ("[5e0, 1E+2]", ElementType::U8, true),
            ("[-0, 256.0]", ElementType::U8, false),
            ("[0, 5.0000000000000000001]", ElementType::I64, false),
            ("[18446744073709551615.0, 1.8446744073709551615e19]", ElementType::U64, true),
            ("[0, 18446744073709551616.0]", ElementType::U64, false),
            ("[0, 1e400]", ElementType::F64, false),
            ("[0, 1e400]", ElementType::U64, false),
            ("[5.0, 18446744073709551616]", ElementType::F32, true),
            ("[0, true]", ElementType::I64, false),
            ("[65504, -65504]", ElementType::F16, true),
            ("[0, 65520]", ElementType::F16, false),
            ("[1e38, 3e38]", ElementType::Bf16, true),
            ("[0, 1e39]", ElementType::F32, false),
            ("[0, 1e308]", ElementType::F64, true),
            (r#"["NaN", "-Infinity"]"#, ElementType::F32, true),
            (r#"["nan", 1]"#, ElementType::F32, false),
            (r#"["NaN", 1]"#, ElementType::I32, false),
            ("[true, false]", ElementType::Bool, true),
            ("[1, 0]", ElementType::Bool, false),
            (r#"["a", "NaN"]"#, ElementType::String, true),
            (r#"["a", "\u0000"]"#, ElementType::String, false),
            (r#"["a", 1]"#, ElementType::String, false),
            ("[0, null]", ElementType::F32, false),
        ] {
            let read = elements_from_json(json, element_type, &[2], 2);
            assert_eq!(read.is_ok(), is_right, "{json} as {element_type}: {read:?}");
        }
    }

    #[test]
    fn whole_numbers_keep_every_digit_whether_or_not_a_point_is_written() {
        let expected = TensorData::I64(vec![9_007_199_254_740_993, -9_007_199_254_740_993].into());
        for json in [
            "[9007199254740993.0, -9007199254740993]",
            "[[9007199254740993],[-9007199254740993.000]]",
            "[9.007199254740993e15, -9007199254740993]",
        ] {
            assert_eq!(
                elements_from_json(json, ElementType::I64, &[2, 1], 2),
                Ok(expected.clone()),
                "{json}"
            );
        }
        // Items before the one that needs every digit remain unchanged.
        let items = elements_of_items(&["[1, 2]", "[3.0, 4]"], ElementType::I32, &[2], 2, TextForm::Plain);
        assert_eq!(items, Ok(TensorData::I32(vec![1, 2, 3, 4].into())));
        let message = |json, element_type| {
            let fault = elements_from_json(json, element_type, &[2], 2).unwrap_err();
            format!("{}: {}", fault.path, fault.message)
        };
        assert_eq!(message("[1, 5.5]", ElementType::I64), "/1: expected a whole number, got 5.5");
        let too_large = "/1: expected a whole number; 18446744073709551616 does not fit UINT64";
        assert_eq!(message("[1, 18446744073709551616]", ElementType::U64), too_large);
        let too_large = "/1: expected a number; this number does not fit FP32";
        assert_eq!(message("[1, 1e400]", ElementType::F32), too_large);
    }

    #[test]
    fn every_fault_has_its_place() {
        for (json, shape, path, code) in [
            ("[[1,2],[3,300]]", &[2, 2][..], "/1/1", "does_not_fit"),
            ("[1,2,3,300]", &[2, 2], "/3", "does_not_fit"),
            ("[[1,2],[3]]", &[2, 2], "/1", "wrong_form"),
            ("[[1,2],3]", &[2, 2], "/1", "wrong_form"),
            ("[1,[2]]", &[2, 2], "/1", "wrong_form"),
            ("[[1,2]]", &[2, 2], "", "wrong_form"),
            ("[[[1,2]]]", &[1, 2], "/0/0", "wrong_form"),
            ("[1,2,3]", &[2, 2], "", "wrong_count"),
            ("[1,2,3,4,5]", &[2, 2], "", "wrong_count"),
            ("[]", &[1], "", "wrong_count"),
            ("1", &[1], "", "wrong_form"),
            ("{}", &[1], "", "wrong_form"),
            ("[{}]", &[1], "/0", "not_a_number"),
            ("[[1]]", &[], "/0", "wrong_form"),
        ] {
            assert_eq!(fault(json, ElementType::U8, shape), (path.to_owned(), code), "{json}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(fault(&deep, ElementType::U8, &[1; 200]).1, "wrong_form");
    }
}
