//! Operators and small constants of an ONNX file, read without loading it and without trusting it.
//!
//! Message and field numbers are those of `onnx.proto`. Memory is bounded: of large tensors and lists only the shape is
//! kept.

mod columns;
mod coupling;
mod dependence;
mod facts;
mod labels;
mod read;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

pub use columns::{ColumnFacts, KnownColumns};
pub use coupling::RowDependence;
pub use facts::GraphFacts;
pub use labels::Labels;

/// Operators of a model and the values that connect them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Names of the inputs; initializers are not among them.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Operators of the main graph, each after those whose outputs it reads (ONNX IR, Graphs).
    pub nodes: Vec<Node>,
    /// Operators of the bodies of loops, branches and functions, whose values have scopes of their own.
    pub inner: Vec<Node>,
    /// Initializers of the main graph and values of its `Constant` operators, by name.
    pub constants: HashMap<String, Constant>,
    /// Functions that the file defines, by domain and name.
    pub functions: BTreeSet<(String, String)>,
    /// Versions of the operator sets by domain; the empty domain is ONNX's own.
    pub opsets: BTreeMap<String, u64>,
    /// True if all of it was read; false if it exceeds the limits of the reader.
    pub is_complete: bool,
}

/// An operator with its attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Name of the operator, such as `MatMul`.
    pub operator: String,
    /// Domain of its operator set; empty or `ai.onnx` for ONNX's own.
    pub domain: String,
    /// Names of its inputs; empty for an optional one that is left out.
    pub inputs: Vec<String>,
    /// Names of its outputs; empty for an optional one that is left out.
    pub outputs: Vec<String>,
    /// Attributes in the order of the file.
    pub attributes: Vec<Attribute>,
}

/// An attribute of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Name of the attribute, such as `axis`.
    pub name: String,
    /// Value of the attribute.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// One whole number.
    Integer(i64),
    /// One number.
    Number(f32),
    /// One string.
    Text(String),
    /// A list of one type.
    List(Elements),
    /// A tensor.
    Tensor(Constant),
    /// The body of a loop or branch; its operators are in [`Graph::inner`].
    Body,
    /// A value that is too large to keep, or of another kind.
    Other {
        /// True if any element of a list of whole numbers is not zero.
        any_set: bool,
    },
}

/// A tensor that the file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constant {
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Elements in row-major order; `None` if there are too many, they have another type, or they are in another file.
    pub elements: Option<Elements>,
}

/// Elements of a small tensor or list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Elements {
    /// Whole numbers of any width; booleans as 0 and 1.
    Integers(Vec<i64>),
    /// Floats of 32 or 64 bits.
    Numbers(Vec<f64>),
    /// Strings.
    Texts(Vec<String>),
}

impl Graph {
    /// Finds the operator that computes a value; `None` if no operator of the main graph does.
    #[must_use]
    pub fn producer(&self, value: &str) -> Option<&Node> {
        // The empty name stands for an output that is left out.
        self.nodes
            .iter()
            .filter(|_| !value.is_empty())
            .find(|node| node.outputs.iter().any(|name| name == value))
    }

    /// Returns the elements of a constant; `None` if the value is not one or its elements were not kept.
    #[must_use]
    pub fn elements(&self, value: &str) -> Option<&Elements> {
        self.constants.get(value)?.elements.as_ref()
    }

    /// Returns the version of ONNX's own operator set; 0 if none is named.
    #[must_use]
    pub fn opset(&self) -> u64 {
        self.opsets.get("").or_else(|| self.opsets.get("ai.onnx")).copied().unwrap_or(0)
    }
}

impl Node {
    /// Returns the value of an attribute; `None` if it is not set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    /// Returns the value of an attribute that is a whole number.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            AttributeValue::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the elements of an attribute that is a list or a tensor; `None` if they were not kept.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&Elements> {
        match self.attribute(name)? {
            AttributeValue::List(elements) => Some(elements),
            AttributeValue::Tensor(constant) => constant.elements.as_ref(),
            _ => None,
        }
    }

    /// Returns true if it is an operator of ONNX's own set or of `ai.onnx.ml`.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        matches!(self.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml")
    }
}

impl Elements {
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(numbers) => numbers.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the elements; `None` if they are not whole numbers.
    #[must_use]
    pub fn integers(&self) -> Option<&[i64]> {
        match self {
            Self::Integers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// Returns the elements; `None` if they are not strings.
    #[must_use]
    pub fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }
}
