//! Description of an ONNX file, read without loading it and without trusting it.
//!
//! The file is a protocol buffer (`onnx.proto`, message `ModelProto`). Only fields that describe its needs and its
//! producer are read; tensors are skipped, so a model of gigabytes costs a few reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Seek},
};

use serde::Serialize;

use super::{
    file_error::OnnxFileError,
    foreign,
    protobuf::{Fields, Value},
};

/// Most nested messages: more than ONNX Runtime itself reads.
const MAX_DEPTH: usize = 128;

/// Most external files: more than any real model has.
const MAX_EXTERNAL_FILES: usize = 4096;

/// Most operator sets: more than any real model has.
const MAX_OPSETS: usize = 256;

/// The first format version with operator sets: a later file that names none is truncated.
const FIRST_VERSION_WITH_OPSETS: u64 = 3;

/// Operators whose work depends on the values of their inputs, not only on their number.
const UNSTEADY: [&str; 11] = [
    "Loop",
    "Scan",
    "SequenceMap",
    "Range",
    "Expand",
    "Tile",
    "ConstantOfShape",
    "Resize",
    "Upsample",
    "Pad",
    "OneHot",
];

/// Contents of an ONNX file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OnnxFile {
    /// Version of the format.
    pub ir_version: u64,
    /// The tool that wrote it.
    pub producer: String,
    /// Version of that tool.
    pub producer_version: String,
    /// Operator sets: domain (empty for ONNX's own) and version.
    pub opsets: Vec<(String, u64)>,
    /// Number of nodes, including those of subgraphs.
    pub nodes: u64,
    /// True if it has tree ensembles, which take less memory in ONNX Runtime's own format.
    pub has_trees: bool,
    /// True if it has a `Div` operator, so that the dividends of requests are checked.
    pub divides: bool,
    /// True if it has operators whose work depends on values, so that inputs of one size may take different times.
    pub is_unsteady: bool,
    /// Files that hold its weights, with the relative paths that it names.
    pub external_files: BTreeSet<String>,
    /// The least length in bytes of each external file, as far as the tensors declare offset and length.
    #[serde(skip)]
    pub external_bytes: BTreeMap<String, u64>,
}

/// The place of a tensor in a file beside the model.
#[derive(Default)]
struct ExternalPlace {
    location: Option<String>,
    offset: u64,
    length: Option<u64>,
}

use OnnxFileError::{NotOnnx, Truncated};

/// The messages that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ExternalData,
    OperatorSet,
    Function,
    Training,
}

impl Message {
    /// Returns the message that a field of this one holds; `None` if it is skipped.
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Self::Graph,
            (Self::Model, 8) => Self::OperatorSet,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Tensor, 13) => Self::ExternalData,
            _ => return None,
        })
    }
}

impl OnnxFile {
    /// Reads a file from its beginning.
    ///
    /// # Errors
    ///
    /// When it is cut short or not an ONNX model. A file without errors here may still fail to load.
    pub fn read(mut file: impl Read + Seek) -> Result<Self, OnnxFileError> {
        Self::read_model(&mut file).map_err(|error| foreign::named(error, &mut file))
    }

    fn read_model(file: impl Read + Seek) -> Result<Self, OnnxFileError> {
        let fields = Fields::new(file)?;
        let end = fields.end();
        let mut walk =
            Walk { fields, found: Self::default(), has_graph: false, place: ExternalPlace::default() };
        walk.message(Message::Model, end, 0)?;
        let Walk { found, has_graph, .. } = walk;
        match (found.ir_version, has_graph) {
            (0, _) => Err(NotOnnx("it does not state the version of the format")),
            (_, false) => Err(Truncated("its graph is missing")),
            (version, true) if version >= FIRST_VERSION_WITH_OPSETS && found.opsets.is_empty() => {
                Err(Truncated("its operator sets are missing"))
            }
            _ => Ok(found),
        }
    }
}

struct Walk<R> {
    fields: Fields<R>,
    found: OnnxFile,
    has_graph: bool,
    /// Location of the tensor in progress.
    place: ExternalPlace,
}

impl<R: Read + Seek> Walk<R> {
    fn message(&mut self, message: Message, end: u64, depth: usize) -> Result<(), OnnxFileError> {
        if depth > MAX_DEPTH {
            return Err(NotOnnx("its graphs are nested too deeply"));
        }
        let (mut key, mut value) = (String::new(), String::new());
        let mut version = 0;
        while self.fields.position() < end {
            let (field, content) = self.fields.next(end)?;
            match (message, field, content) {
                (Message::Model, 1, Value::Varint(number)) => self.found.ir_version = number,
                (Message::Model, 1 | 7, Value::Fixed32(_) | Value::Fixed64(_))
                | (Message::Model, 1, Value::Bytes(_)) => {
                    return Err(NotOnnx("its first field is not that of an ONNX model"));
                }
                (Message::Model, 2, Value::Bytes(length)) => {
                    self.found.producer = self.fields.text(length)?;
                }
                (Message::Model, 3, Value::Bytes(length)) => {
                    self.found.producer_version = self.fields.text(length)?;
                }
                (Message::Node, 4, Value::Bytes(length)) => {
                    let operator = self.fields.text(length)?;
                    self.found.has_trees |= operator.starts_with("TreeEnsemble");
                    self.found.divides |= operator == "Div";
                    self.found.is_unsteady |= UNSTEADY.contains(&operator.as_str());
                }
                (Message::OperatorSet | Message::ExternalData, 1, Value::Bytes(length)) => {
                    key = self.fields.text(length)?;
                }
                (Message::ExternalData, 2, Value::Bytes(length)) => value = self.fields.text(length)?,
                (Message::OperatorSet, 2, Value::Varint(number)) => version = number,
                (_, _, Value::Bytes(length)) => match message.inside(field) {
                    Some(inside) => self.message(inside, self.fields.position() + length, depth + 1)?,
                    None => self.fields.skip(length)?,
                },
                (_, _, _) => {}
            }
        }
        match message {
            Message::Graph => self.has_graph = true,
            Message::Node => self.found.nodes += 1,
            Message::OperatorSet => {
                self.found.opsets.push((key, version));
                if self.found.opsets.len() > MAX_OPSETS {
                    return Err(NotOnnx("it names hundreds of operator sets"));
                }
            }
            Message::ExternalData if key == "offset" => self.place.offset = value.parse().unwrap_or_default(),
            Message::ExternalData if key == "length" => self.place.length = value.parse().ok(),
            Message::Tensor => self.note_place(),
            Message::ExternalData if key == "location" => {
                self.place.location = Some(value.clone());
                self.found.external_files.insert(value);
                if self.found.external_files.len() > MAX_EXTERNAL_FILES {
                    return Err(NotOnnx("it names thousands of files"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Records the length that the external file of the current tensor must have.
    fn note_place(&mut self) {
        let ExternalPlace { location, offset, length } = std::mem::take(&mut self.place);
        if let (Some(location), Some(length)) = (location, length) {
            let bytes = self.found.external_bytes.entry(location).or_default();
            *bytes = (*bytes).max(offset.saturating_add(length));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn iris() -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx")).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<OnnxFile, OnnxFileError> {
        OnnxFile::read(Cursor::new(bytes))
    }

    #[test]
    fn says_what_the_file_needs_and_who_made_it() {
        let file = read(&iris()).unwrap();
        assert_eq!(file.producer, "skl2onnx");
        assert!(file.has_trees && file.nodes > 0 && file.external_files.is_empty());
        assert!(file.opsets.iter().any(|(domain, version)| domain == "ai.onnx.ml" && *version > 0));
    }

    #[test]
    fn a_file_that_is_cut_short_is_told_from_one_that_is_something_else() {
        let iris = iris();
        for length in [0, 1, 10, 1024, iris.len() / 2] {
            assert!(matches!(read(&iris[..length]), Err(Truncated(_))), "{length}");
        }
        for other in ["<!DOCTYPE html><html>", "{\"error\": 404}", "PK\u{3}\u{4}", "version https://git-lfs"]
        {
            assert!(matches!(read(other.as_bytes()), Err(NotOnnx(_) | Truncated(_))), "{other}");
        }
        assert!(matches!(read(b"<!DOCTYPE html>"), Err(NotOnnx(_))));
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn nor_does_a_damaged_model(at in 0_usize..10_000, byte in proptest::num::u8::ANY) {
            let mut bytes = iris();
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = read(&bytes);
        }
    }
}
