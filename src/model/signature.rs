//! What a model takes and gives: its named, typed inputs and outputs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ElementType, Tensor};

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    /// Always this many.
    Fixed(usize),
    /// Any number; the symbol that the model's author gave it, or nothing.
    Dynamic(String),
}

impl Dimension {
    /// The symbol that ties it to other dimensions. Exporters write `?` where they know of none.
    #[must_use]
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::Dynamic(symbol) if !symbol.is_empty() && symbol != "?" => Some(symbol),
            _ => None,
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(formatter),
            Self::Dynamic(symbol) if symbol.is_empty() => formatter.write_str("?"),
            Self::Dynamic(symbol) => formatter.write_str(symbol),
        }
    }
}

/// What kind of value an input takes or an output gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueKind {
    /// A tensor.
    Tensor {
        /// The type of the elements.
        element_type: ElementType,
        /// The declared shape, outermost dimension first. Without dimensions it stands for any number of them: ONNX
        /// Runtime does not tell a scalar from an undeclared shape. Those of outputs may be wrong: exporters guess.
        shape: Vec<Dimension>,
    },
    /// Any number of values of one kind.
    Sequence(Box<ValueKind>),
    /// Values by key.
    Map {
        /// The type of the keys.
        key: ElementType,
        /// The type of the values.
        value: ElementType,
    },
    /// A value that may be absent.
    Optional(Box<ValueKind>),
}

impl fmt::Display for ValueKind {
    /// For example `FP32 [?, 4]`, `sequence of map of INT64 to FP32`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor { element_type, shape } => {
                let dimensions: Vec<String> = shape.iter().map(ToString::to_string).collect();
                write!(formatter, "{element_type} [{}]", dimensions.join(", "))
            }
            Self::Sequence(items) => write!(formatter, "sequence of {items}"),
            Self::Map { key, value } => write!(formatter, "map of {key} to {value}"),
            Self::Optional(inner) => write!(formatter, "optional {inner}"),
        }
    }
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueSpec {
    /// The name in the graph; any text.
    pub name: String,
    /// What it takes or gives.
    pub kind: ValueKind,
}

impl ValueSpec {
    /// A tensor of this name.
    #[must_use]
    pub fn tensor(name: impl Into<String>, element_type: ElementType, shape: Vec<Dimension>) -> Self {
        Self { name: name.into(), kind: ValueKind::Tensor { element_type, shape } }
    }

    /// Element type and declared shape, if it is a tensor or an optional one.
    #[must_use]
    pub fn as_tensor(&self) -> Option<(ElementType, &[Dimension])> {
        let kind = match &self.kind {
            ValueKind::Optional(inner) => inner,
            other => other,
        };
        match kind {
            ValueKind::Tensor { element_type, shape } => Some((*element_type, shape)),
            _ => None,
        }
    }

    /// Whether it may be left out.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        matches!(self.kind, ValueKind::Optional(_))
    }
}

impl fmt::Display for ValueSpec {
    /// For example `features FP32 [?, 4]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.kind)
    }
}

/// The inputs and outputs of a model, in the order of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// What has to be given.
    pub inputs: Vec<ValueSpec>,
    /// What comes back.
    pub outputs: Vec<ValueSpec>,
}

impl Signature {
    /// The input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&ValueSpec> {
        self.inputs.iter().find(|spec| spec.name == name)
    }

    /// The position of an output among what a run gives.
    #[must_use]
    pub fn output_position(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|spec| spec.name == name)
    }

    /// How many rows these inputs are, for a model whose first input counts them in its outermost dimension; nothing where
    /// the others have not as many.
    #[must_use]
    pub fn rows(&self, inputs: &[(String, Tensor)]) -> Option<usize> {
        let (_, declared) = self.inputs.first()?.as_tensor()?;
        let Dimension::Dynamic(_) = declared.first()? else { return None };
        let first = &self.inputs.first()?.name;
        let (_, tensor) = inputs.iter().find(|(name, _)| name == first)?;
        let rows = tensor.shape().first().copied()?;
        inputs.iter().all(|(_, tensor)| tensor.shape().first() == Some(&rows)).then_some(rows)
    }

    /// Whether the number of rows of some input, its outermost dimension, is left open.
    #[must_use]
    pub fn takes_any_number_of_rows(&self) -> bool {
        let mut shapes = self.inputs.iter().filter_map(ValueSpec::as_tensor).map(|(_, shape)| shape.first());
        shapes.any(|rows| matches!(rows, Some(Dimension::Dynamic(_))))
    }

    /// Whether every input is a tensor of numbers of which nothing but the number of rows, its outermost dimension, is left
    /// open.
    #[must_use]
    pub fn has_rows_of_one_size(&self) -> bool {
        self.inputs.iter().all(|input| match &input.kind {
            ValueKind::Tensor { element_type, shape } => {
                let is_fixed = |dimension: &Dimension| matches!(dimension, Dimension::Fixed(_));
                *element_type != ElementType::String
                    && shape.split_first().is_some_and(|(_, inner)| inner.iter().all(is_fixed))
            }
            _ => false,
        })
    }

    /// Returns true if two signatures differ in nothing but the shapes of outputs, of which exporters may not be right.
    #[must_use]
    pub fn is_alike_but_for_output_shapes(&self, other: &Self) -> bool {
        let alike = |(one, other): (&ValueSpec, &ValueSpec)| {
            one.name == other.name
                && match (&one.kind, &other.kind) {
                    (
                        ValueKind::Tensor { element_type: one, .. },
                        ValueKind::Tensor { element_type: other, .. },
                    ) => one == other,
                    (one, other) => one == other,
                }
        };
        self.inputs == other.inputs
            && self.outputs.len() == other.outputs.len()
            && self.outputs.iter().zip(&other.outputs).all(alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_travels_as_json() {
        let kind = ValueKind::Sequence(Box::new(ValueKind::Map {
            key: ElementType::String,
            value: ElementType::F32,
        }));
        let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(4)];
        let optional = ValueKind::Optional(Box::new(ValueKind::Tensor {
            element_type: ElementType::Bf16,
            shape: Vec::new(),
        }));
        let signature = Signature {
            inputs: vec![
                ValueSpec::tensor("x", ElementType::F16, shape),
                ValueSpec { name: "mask".to_owned(), kind: optional },
            ],
            outputs: vec![ValueSpec { name: "y".to_owned(), kind }],
        };
        let json = serde_json::to_string(&signature).unwrap();
        assert!(json.contains(r#"{"tensor":{"element_type":"FP16","shape":["N",4]}}"#), "{json}");
        assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
        let shown: Vec<String> =
            signature.inputs.iter().chain(&signature.outputs).map(ToString::to_string).collect();
        assert_eq!(shown, ["x FP16 [N, 4]", "mask optional BF16 []", "y sequence of map of BYTES to FP32"]);
    }

    #[test]
    fn a_question_mark_names_no_dimension() {
        let symbol = |text: &str| Dimension::Dynamic(text.to_owned()).symbol().map(str::to_owned);
        assert_eq!((symbol(""), symbol("?"), symbol("N")), (None, None, Some("N".to_owned())));
    }
}
