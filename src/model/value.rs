//! What a model gives: tensors, and what is made of them.

mod dense;

use super::{Tensor, TensorData};

/// One output of a model, as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// Any number of values.
    Sequence(Vec<Value>),
    /// As many values as keys; the value at a position belongs to the key there.
    Map {
        /// The keys: whole numbers or texts.
        keys: TensorData,
        /// Their values.
        values: TensorData,
    },
    /// An optional value that is not there.
    Absent,
}

impl Value {
    /// Whether every number in it is one that JSON can carry: no NaN, no infinity.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Tensor(tensor) => tensor.data().is_finite(),
            Self::Sequence(values) => values.iter().all(Self::is_finite),
            Self::Map { values, .. } => values.is_finite(),
            Self::Absent => true,
        }
    }

    /// What it is, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tensor(_) => "tensor",
            Self::Sequence(_) => "sequence",
            Self::Map { .. } => "map",
            Self::Absent => "absent",
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_json_cannot_carry_is_found_wherever_it_is() {
        let map = |value| Value::Map {
            keys: TensorData::I64(vec![0].into()),
            values: TensorData::F32(vec![value].into()),
        };
        assert!(Value::Sequence(vec![map(1.0), Value::Absent]).is_finite());
        assert!(!Value::Sequence(vec![map(1.0), map(f32::NAN)]).is_finite());
    }
}
