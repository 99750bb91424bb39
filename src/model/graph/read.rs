//! Reader of operators and small constants in a file.

use std::io::{Read, Seek};

use super::{Attribute, AttributeValue, Constant, Elements, Graph, Node};
use crate::model::{
    file_error::OnnxFileError,
    protobuf::{Fields, Value},
};

/// Most operators that are read.
const MAX_NODES: usize = 50_000;

/// Most elements of a list or tensor that are kept.
const MAX_ELEMENTS: usize = 1 << 16;

/// Most bytes of lists, tensors, strings and names that are kept in total.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// Longest string that is kept, in bytes.
const MAX_TEXT_BYTES: u64 = 4096;

/// Most nested graphs.
const MAX_DEPTH: usize = 64;

impl Graph {
    /// Reads the operators of a file from its beginning.
    ///
    /// # Errors
    ///
    /// When the file is cut short or is not a protocol buffer.
    pub fn read(file: impl Read + Seek) -> Result<Self, OnnxFileError> {
        let fields = Fields::new(file)?;
        let end = fields.end();
        let graph = Self { is_complete: true, ..Self::default() };
        let mut reader = Reader { fields, graph, budget: MAX_KEPT_BYTES };
        reader.model(end)?;
        let Reader { mut graph, .. } = reader;
        graph.name_constants();
        Ok(graph)
    }

    /// Adds the values of `Constant` operators to the constants, and removes initializers from the inputs.
    fn name_constants(&mut self) {
        let Self { nodes, constants, inputs, .. } = self;
        nodes.retain(|node| {
            let constant = (node.operator == "Constant").then(|| value_of(node)).flatten();
            match (constant, node.outputs.first()) {
                (Some(constant), Some(name)) => {
                    constants.insert(name.clone(), constant);
                    false
                }
                _ => true,
            }
        });
        inputs.retain(|name| !constants.contains_key(name));
    }
}

/// Returns the value of a `Constant` operator.
fn value_of(node: &Node) -> Option<Constant> {
    let elements = |shape: Vec<u64>, elements| Constant { shape, elements: Some(elements) };
    Some(match &node.attributes.first()?.value {
        AttributeValue::Tensor(constant) => constant.clone(),
        AttributeValue::List(list) => elements(vec![list.len() as u64], list.clone()),
        AttributeValue::Integer(number) => elements(Vec::new(), Elements::Integers(vec![*number])),
        AttributeValue::Number(number) => elements(Vec::new(), Elements::Numbers(vec![f64::from(*number)])),
        AttributeValue::Text(text) => elements(Vec::new(), Elements::Texts(vec![text.clone()])),
        AttributeValue::Body | AttributeValue::Other { .. } => return None,
    })
}

struct Reader<R> {
    fields: Fields<R>,
    graph: Graph,
    /// Number of bytes that may still be kept.
    budget: usize,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads a `ModelProto`.
    fn model(&mut self, end: u64) -> Result<(), OnnxFileError> {
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (7, Value::Bytes(length)) => self.graph(self.fields.position() + length, 0)?,
                (8, Value::Bytes(length)) => self.operator_set(self.fields.position() + length)?,
                (25, Value::Bytes(length)) => self.function(self.fields.position() + length)?,
                (_, value) => self.pass(value)?,
            }
        }
        Ok(())
    }

    /// Reads an `OperatorSetIdProto`.
    fn operator_set(&mut self, end: u64) -> Result<(), OnnxFileError> {
        let (mut domain, mut version) = (String::new(), 0);
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Bytes(length)) => domain = self.name(length)?,
                (2, Value::Varint(number)) => version = number,
                (_, value) => self.pass(value)?,
            }
        }
        self.graph.opsets.insert(domain, version);
        Ok(())
    }

    /// Reads a `FunctionProto`, of which only the name and the operators matter.
    fn function(&mut self, end: u64) -> Result<(), OnnxFileError> {
        let (mut name, mut domain) = (String::new(), String::new());
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Bytes(length)) => name = self.name(length)?,
                (7, Value::Bytes(length)) => self.node(self.fields.position() + length, 1)?,
                (10, Value::Bytes(length)) => domain = self.name(length)?,
                (_, value) => self.pass(value)?,
            }
        }
        self.graph.functions.insert((domain, name));
        Ok(())
    }

    /// Reads a `GraphProto`; `depth` is 0 for the main graph.
    fn graph(&mut self, end: u64, depth: usize) -> Result<(), OnnxFileError> {
        if depth > MAX_DEPTH {
            self.graph.is_complete = false;
            return self.fields.skip(end - self.fields.position());
        }
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Bytes(length)) => self.node(self.fields.position() + length, depth)?,
                (5, Value::Bytes(length)) => {
                    let (name, constant) = self.tensor(self.fields.position() + length)?;
                    if depth == 0 {
                        self.graph.constants.insert(name, constant);
                    }
                }
                (11, Value::Bytes(length)) if depth == 0 => {
                    let name = self.value_name(self.fields.position() + length)?;
                    self.graph.inputs.push(name);
                }
                (12, Value::Bytes(length)) if depth == 0 => {
                    let name = self.value_name(self.fields.position() + length)?;
                    self.graph.outputs.push(name);
                }
                (_, value) => self.pass(value)?,
            }
        }
        Ok(())
    }

    /// Reads a `ValueInfoProto`, of which only the name matters.
    fn value_name(&mut self, end: u64) -> Result<String, OnnxFileError> {
        let mut name = String::new();
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Bytes(length)) => name = self.name(length)?,
                (_, value) => self.pass(value)?,
            }
        }
        Ok(name)
    }

    /// Reads a `NodeProto`.
    fn node(&mut self, end: u64, depth: usize) -> Result<(), OnnxFileError> {
        let mut node = Node::default();
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Bytes(length)) => node.inputs.push(self.name(length)?),
                (2, Value::Bytes(length)) => node.outputs.push(self.name(length)?),
                (4, Value::Bytes(length)) => node.operator = self.name(length)?,
                (5, Value::Bytes(length)) => {
                    let attribute = self.attribute(self.fields.position() + length, depth)?;
                    node.attributes.push(attribute);
                }
                (7, Value::Bytes(length)) => node.domain = self.name(length)?,
                (_, value) => self.pass(value)?,
            }
        }
        let nodes = if depth == 0 { &mut self.graph.nodes } else { &mut self.graph.inner };
        if nodes.len() < MAX_NODES {
            nodes.push(node);
        } else {
            self.graph.is_complete = false;
        }
        Ok(())
    }

    /// Reads an `AttributeProto`.
    fn attribute(&mut self, end: u64, depth: usize) -> Result<Attribute, OnnxFileError> {
        let mut name = String::new();
        let mut list = List::default();
        let (mut value, mut kind) = (None, 0);
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Bytes(length)) => name = self.name(length)?,
                (2, Value::Fixed32(bytes)) => value = Some(AttributeValue::Number(f32::from_le_bytes(bytes))),
                (3, Value::Varint(number)) => value = Some(AttributeValue::Integer(number.cast_signed())),
                (4, Value::Bytes(length)) => value = self.short_text(length)?.map(AttributeValue::Text),
                (5, Value::Bytes(length)) => {
                    value = Some(AttributeValue::Tensor(self.tensor(self.fields.position() + length)?.1));
                }
                (6 | 11, Value::Bytes(length)) => {
                    self.graph(self.fields.position() + length, depth + 1)?;
                    value = Some(AttributeValue::Body);
                }
                (20, Value::Varint(number)) => kind = number,
                (22 | 23, Value::Bytes(length)) => {
                    self.fields.skip(length)?;
                    value = Some(AttributeValue::Other { any_set: true });
                }
                (7, Value::Fixed32(bytes)) => list.number(f64::from(f32::from_le_bytes(bytes))),
                (7, Value::Bytes(length)) => self.packed_floats(length, &mut list)?,
                (8, Value::Varint(number)) => list.integer(number.cast_signed()),
                (8, Value::Bytes(length)) => self.packed_integers(length, &mut list)?,
                (9, Value::Bytes(length)) => list.text(self.short_text(length)?),
                (_, value) => self.pass(value)?,
            }
        }
        let value = match value {
            Some(value) => value,
            // The file may leave out a zero (type FLOAT, INT, STRING).
            None if kind == 1 => AttributeValue::Number(0.0),
            None if kind == 2 => AttributeValue::Integer(0),
            None if kind == 3 => AttributeValue::Text(String::new()),
            None => list.finish(&mut self.budget),
        };
        Ok(Attribute { name, value })
    }

    /// Reads a `TensorProto`: its name, and its elements if they are few.
    fn tensor(&mut self, end: u64) -> Result<(String, Constant), OnnxFileError> {
        let (mut name, mut shape, mut data_type) = (String::new(), List::default(), 0);
        let (mut list, mut raw, mut is_elsewhere) = (List::default(), None, false);
        while self.fields.position() < end {
            match self.fields.next(end)? {
                (1, Value::Varint(number)) => shape.integer(number.cast_signed()),
                (1, Value::Bytes(length)) => self.packed_integers(length, &mut shape)?,
                (2, Value::Varint(number)) => data_type = number,
                (4, Value::Bytes(length)) => self.packed_floats(length, &mut list)?,
                (4, Value::Fixed32(bytes)) => list.number(f64::from(f32::from_le_bytes(bytes))),
                (5 | 7, Value::Bytes(length)) => self.packed_integers(length, &mut list)?,
                (5 | 7, Value::Varint(number)) => list.integer(number.cast_signed()),
                (6, Value::Bytes(length)) => list.text(self.short_text(length)?),
                (8, Value::Bytes(length)) => name = self.name(length)?,
                (9, Value::Bytes(length)) if length <= 8 * MAX_ELEMENTS as u64 => {
                    raw = Some(self.fields.bytes(length)?);
                }
                (10, Value::Bytes(length)) => self.packed_doubles(length, &mut list)?,
                (10, Value::Fixed64(bytes)) => list.number(f64::from_le_bytes(bytes)),
                (14, Value::Varint(location)) => is_elsewhere = location == 1,
                (_, value) => self.pass(value)?,
            }
        }
        let shape: Vec<u64> = shape.integers.iter().map(|size| u64::try_from(*size).unwrap_or(0)).collect();
        let elements = match raw {
            _ if is_elsewhere => None,
            Some(raw) => raw_elements(&raw, data_type),
            None => match list.finish(&mut self.budget) {
                AttributeValue::List(elements) if is_kept(data_type) => Some(elements),
                _ => None,
            },
        };
        let count = shape.iter().copied().try_fold(1_u64, u64::checked_mul);
        let elements = elements.filter(|elements| count == Some(elements.len() as u64));
        Ok((name, Constant { shape, elements: elements.filter(|elements| self.affords(elements)) }))
    }

    /// Returns true if elements may be kept, and charges them to the budget.
    fn affords(&mut self, elements: &Elements) -> bool {
        let left = self.budget.checked_sub(bytes_of(elements));
        self.budget = left.unwrap_or(self.budget);
        left.is_some()
    }

    /// Reads a name; empty if it exceeds the budget.
    fn name(&mut self, length: u64) -> Result<String, OnnxFileError> {
        let cost = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(size_of::<String>());
        let Some(left) = self.budget.checked_sub(cost) else {
            self.graph.is_complete = false;
            self.fields.skip(length)?;
            return Ok(String::new());
        };
        self.budget = left;
        let name = self.short_text(length)?;
        self.graph.is_complete &= name.is_some();
        Ok(name.unwrap_or_default())
    }

    fn short_text(&mut self, length: u64) -> Result<Option<String>, OnnxFileError> {
        if length > MAX_TEXT_BYTES {
            self.fields.skip(length)?;
            return Ok(None);
        }
        Ok(String::from_utf8(self.fields.bytes(length)?).ok())
    }

    fn packed_integers(&mut self, length: u64, list: &mut List) -> Result<(), OnnxFileError> {
        let end = self.fields.position() + length;
        while self.fields.position() < end {
            list.integer(self.fields.varint()?.cast_signed());
        }
        Ok(())
    }

    fn packed_floats(&mut self, length: u64, list: &mut List) -> Result<(), OnnxFileError> {
        if length > 4 * MAX_ELEMENTS as u64 {
            list.is_large = true;
            return self.fields.skip(length);
        }
        for four in self.fields.bytes(length)?.chunks_exact(4) {
            list.number(f64::from(f32::from_le_bytes(four.try_into().unwrap_or_default())));
        }
        Ok(())
    }

    fn packed_doubles(&mut self, length: u64, list: &mut List) -> Result<(), OnnxFileError> {
        if length > 8 * MAX_ELEMENTS as u64 {
            list.is_large = true;
            return self.fields.skip(length);
        }
        for eight in self.fields.bytes(length)?.chunks_exact(8) {
            list.number(f64::from_le_bytes(eight.try_into().unwrap_or_default()));
        }
        Ok(())
    }

    fn pass(&mut self, value: Value) -> Result<(), OnnxFileError> {
        match value {
            Value::Bytes(length) => self.fields.skip(length),
            Value::Varint(_) | Value::Fixed32(_) | Value::Fixed64(_) => Ok(()),
        }
    }
}

/// Elements of a list in progress.
#[derive(Default)]
struct List {
    integers: Vec<i64>,
    numbers: Vec<f64>,
    texts: Vec<String>,
    any_set: bool,
    /// True if elements were left out.
    is_large: bool,
}

impl List {
    fn integer(&mut self, number: i64) {
        self.any_set |= number != 0;
        Self::push(&mut self.integers, &mut self.is_large, number);
    }

    fn number(&mut self, number: f64) {
        Self::push(&mut self.numbers, &mut self.is_large, number);
    }

    fn text(&mut self, text: Option<String>) {
        match text {
            Some(text) => Self::push(&mut self.texts, &mut self.is_large, text),
            None => self.is_large = true,
        }
    }

    fn push<T>(elements: &mut Vec<T>, is_large: &mut bool, element: T) {
        if elements.len() < MAX_ELEMENTS {
            elements.push(element);
        } else {
            *is_large = true;
        }
    }

    /// Returns the list; its value is `AttributeValue::Other` unless all of it was kept and it has one type.
    fn finish(self, budget: &mut usize) -> AttributeValue {
        let Self { integers, numbers, texts, any_set, is_large } = self;
        let elements = match (integers.is_empty(), numbers.is_empty(), texts.is_empty()) {
            (_, true, true) => Elements::Integers(integers),
            (true, false, true) => Elements::Numbers(numbers),
            (true, true, false) => Elements::Texts(texts),
            _ => return AttributeValue::Other { any_set },
        };
        match budget.checked_sub(bytes_of(&elements)) {
            Some(left) if !is_large => {
                *budget = left;
                AttributeValue::List(elements)
            }
            _ => AttributeValue::Other { any_set },
        }
    }
}

fn bytes_of(elements: &Elements) -> usize {
    match elements {
        Elements::Texts(texts) => texts.iter().map(|text| text.len() + size_of::<String>()).sum(),
        other => other.len() * 8,
    }
}

/// Returns true for types whose elements are stored without conversion in the file's typed lists
/// (`TensorProto.DataType`).
fn is_kept(data_type: u64) -> bool {
    // FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING, BOOL, DOUBLE.
    matches!(data_type, 1..=9 | 11)
}

/// Reads little-endian elements of a type (`TensorProto.raw_data`); `None` if that type is not kept.
fn raw_elements(raw: &[u8], data_type: u64) -> Option<Elements> {
    macro_rules! read {
        ($variant:ident, $type:ty, $to:ty) => {
            Elements::$variant(
                raw.chunks_exact(size_of::<$type>())
                    .map(|bytes| <$to>::from(<$type>::from_le_bytes(bytes.try_into().unwrap_or_default())))
                    .collect(),
            )
        };
    }
    Some(match data_type {
        1 => read!(Numbers, f32, f64),
        2 | 9 => read!(Integers, u8, i64),
        3 => read!(Integers, i8, i64),
        4 => read!(Integers, u16, i64),
        5 => read!(Integers, i16, i64),
        6 => read!(Integers, i32, i64),
        7 => read!(Integers, i64, i64),
        11 => read!(Numbers, f64, f64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Graph, OnnxFileError> {
        Graph::read(Cursor::new(bytes))
    }

    fn iris() -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx")).unwrap()
    }

    #[test]
    fn operators_attributes_and_constants_are_read() {
        let graph = read(&iris()).unwrap();
        assert!(graph.is_complete && graph.opset() > 0);
        assert_eq!(graph.inputs, ["features"]);
        assert_eq!(graph.outputs, ["label", "probabilities"]);
        let forest = graph.nodes.iter().find(|node| node.operator.starts_with("TreeEnsemble")).unwrap();
        assert_eq!(forest.domain, "ai.onnx.ml");
        assert_eq!(forest.list("classlabels_int64s"), Some(&Elements::Integers(vec![0, 1, 2])));
        assert!(graph.producer(&forest.outputs[0]).is_some());
    }

    proptest::proptest! {
        #[test]
        fn bytes_of_any_kind_make_a_graph_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_damaged_model_makes_a_graph_or_an_error(at in 0_usize..20_000, byte in proptest::num::u8::ANY) {
            let mut bytes = iris();
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = read(&bytes);
        }
    }
}
