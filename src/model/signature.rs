//! The signature of a model: its named, typed inputs and outputs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ElementType, Tensor};

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    /// A fixed size.
    Fixed(usize),
    /// Any size, with the symbol that the model's author gave it; empty if there is none.
    Dynamic(String),
}

impl Dimension {
    /// Returns the symbol that ties it to other dimensions; `None` without one. Exporters write `?` for an unknown
    /// dimension.
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

/// The kind of value that an input takes or an output holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueKind {
    /// A tensor.
    Tensor {
        /// The type of the elements.
        element_type: ElementType,
        /// Declared shape, outermost dimension first. Empty means any shape, as ONNX Runtime does not distinguish a
        /// scalar from an undeclared shape. Shapes of outputs may be wrong: exporters guess.
        shape: Vec<Dimension>,
    },
    /// A list of values of one kind.
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
    /// Writes for example `FP32 [?, 4]` or `sequence of map of INT64 to FP32`.
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
    /// The name in the graph, which may be any string.
    pub name: String,
    /// The kind of its value.
    pub kind: ValueKind,
}

impl ValueSpec {
    /// Describes a tensor with this name.
    #[must_use]
    pub fn tensor(name: impl Into<String>, element_type: ElementType, shape: Vec<Dimension>) -> Self {
        Self { name: name.into(), kind: ValueKind::Tensor { element_type, shape } }
    }

    /// Returns the element type and declared shape; `None` if it is not a tensor or an optional one.
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

    /// Returns true if it may be left out.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        matches!(self.kind, ValueKind::Optional(_))
    }
}

impl fmt::Display for ValueSpec {
    /// Writes for example `features FP32 [?, 4]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.kind)
    }
}

/// The inputs and outputs of a model, in the order of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The inputs.
    pub inputs: Vec<ValueSpec>,
    /// The outputs.
    pub outputs: Vec<ValueSpec>,
}

impl Signature {
    /// Finds the input with this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&ValueSpec> {
        self.inputs.iter().find(|spec| spec.name == name)
    }

    /// Returns the position of an output in the result of a run.
    #[must_use]
    pub fn output_position(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|spec| spec.name == name)
    }

    /// Counts the rows of these inputs, for a model whose first input has an open outermost dimension. `None` if the
    /// inputs differ in it.
    #[must_use]
    pub fn rows(&self, inputs: &[(String, Tensor)]) -> Option<usize> {
        let (_, declared) = self.inputs.first()?.as_tensor()?;
        let Dimension::Dynamic(_) = declared.first()? else { return None };
        let first = &self.inputs.first()?.name;
        let (_, tensor) = inputs.iter().find(|(name, _)| name == first)?;
        let rows = tensor.shape().first().copied()?;
        inputs.iter().all(|(_, tensor)| tensor.shape().first() == Some(&rows)).then_some(rows)
    }

    /// Returns true if the outermost dimension of some input, its rows, is open.
    #[must_use]
    pub fn takes_any_number_of_rows(&self) -> bool {
        let mut shapes = self.inputs.iter().filter_map(ValueSpec::as_tensor).map(|(_, shape)| shape.first());
        shapes.any(|rows| matches!(rows, Some(Dimension::Dynamic(_))))
    }

    /// Returns true if every input is a tensor of numbers whose only open dimension is the outermost, its rows.
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

    /// Returns true if two signatures differ only in the shapes of outputs, which exporters may get wrong.
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
