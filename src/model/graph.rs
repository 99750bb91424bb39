//! Operators and small constants of an ONNX file, read without loading it and without trusting it.
//!
//! Message and field numbers are those of `onnx.proto`. Memory is bounded: large tensors and lists keep their shape only.

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

/// Operators of a model and what they are connected by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Names of the values that requests give; initializers are not among them.
    pub inputs: Vec<String>,
    /// Names of the values that come back.
    pub outputs: Vec<String>,
    /// Operators of the main graph, each after those whose values it takes (ONNX IR, Graphs).
    pub nodes: Vec<Node>,
    /// Operators of the bodies of loops, branches and functions, whose values have scopes of their own.
    pub inner: Vec<Node>,
    /// Initializers of the main graph and values of its `Constant` operators, by name.
    pub constants: HashMap<String, Constant>,
    /// Functions that the file defines, by domain and name.
    pub functions: BTreeSet<(String, String)>,
    /// Versions of the operator sets by domain; the empty domain is ONNX's own.
    pub opsets: BTreeMap<String, u64>,
    /// True if all of it was read; false where it is larger than what is looked into.
    pub is_complete: bool,
}

/// An operator with its attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Name of the operator, such as `MatMul`.
    pub operator: String,
    /// Domain of its operator set; empty or `ai.onnx` for ONNX's own.
    pub domain: String,
    /// Names of the values that it takes; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Names of the values that it gives; empty where an optional one is left out.
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
    /// One text.
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
    /// Elements in row-major order; `None` if they are many, of another type, or in another file.
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
    /// Texts.
    Texts(Vec<String>),
}

impl Graph {
    /// The operator that gives a value, if one of the main graph does.
    #[must_use]
    pub fn producer(&self, value: &str) -> Option<&Node> {
        // The empty name stands for an output that is left out.
        self.nodes
            .iter()
            .filter(|_| !value.is_empty())
            .find(|node| node.outputs.iter().any(|name| name == value))
    }

    /// The elements of a constant, if the value is one and its elements were kept.
    #[must_use]
    pub fn elements(&self, value: &str) -> Option<&Elements> {
        self.constants.get(value)?.elements.as_ref()
    }

    /// The version of ONNX's own operator set.
    #[must_use]
    pub fn opset(&self) -> u64 {
        self.opsets.get("").or_else(|| self.opsets.get("ai.onnx")).copied().unwrap_or(0)
    }
}

impl Node {
    /// The value of an attribute, if it is set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    /// The value of an attribute that is a whole number.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            AttributeValue::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an attribute that is a list or a tensor, if they were kept.
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
    /// The number of elements.
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

    /// The elements if they are whole numbers.
    #[must_use]
    pub fn integers(&self) -> Option<&[i64]> {
        match self {
            Self::Integers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The elements if they are texts.
    #[must_use]
    pub fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }
}
