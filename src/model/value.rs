//! Outputs of a model: tensors, sequences and maps.

mod dense;

use std::ops::Range;

use super::{Tensor, TensorData};

/// One output of a model, unchanged.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A list of values.
    Sequence(Vec<Value>),
    /// Values by key: the value at a position belongs to the key there.
    Map {
        /// The keys: whole numbers or strings.
        keys: TensorData,
        /// The values.
        values: TensorData,
    },
    /// An optional value that is absent.
    Absent,
}

impl Value {
    /// Returns true if JSON can carry every number in it: no NaN, no infinity.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Tensor(tensor) => tensor.data().is_finite(),
            Self::Sequence(values) => values.iter().all(Self::is_finite),
            Self::Map { values, .. } => values.is_finite(),
            Self::Absent => true,
        }
    }

    /// Returns the total number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.data().len(),
            Self::Sequence(values) => values.iter().map(Self::elements).sum(),
            Self::Map { values, .. } => values.len(),
            Self::Absent => 0,
        }
    }

    /// Returns the memory of its elements, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.data().bytes(),
            Self::Sequence(values) => values.iter().map(|value| size_of::<Self>() + value.bytes()).sum(),
            Self::Map { keys, values } => keys.bytes() + values.bytes(),
            Self::Absent => 0,
        }
    }

    /// Returns true if it has one part for each of `rows` rows. A tensor has them in its outermost dimension, a
    /// sequence of maps has one map each. Any other sequence has them in each of its tensors.
    #[must_use]
    pub fn holds_rows(&self, rows: usize) -> bool {
        match self {
            Self::Tensor(tensor) => tensor.row_width(rows).is_some(),
            Self::Sequence(items) if are_maps(items) => items.len() == rows,
            Self::Sequence(items) => items
                .iter()
                .all(|item| matches!(item, Self::Tensor(tensor) if tensor.row_width(rows).is_some())),
            Self::Map { .. } | Self::Absent => false,
        }
    }

    /// Returns the parts of some rows; `None` if it does not hold them ([`Value::holds_rows`]).
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        match self {
            Self::Tensor(tensor) => tensor.rows(rows).map(Self::Tensor),
            Self::Sequence(items) if are_maps(items) => {
                items.get(rows).map(|part| Self::Sequence(part.to_vec()))
            }
            Self::Sequence(items) => {
                items.iter().map(|item| item.rows(rows.clone())).collect::<Option<_>>().map(Self::Sequence)
            }
            Self::Map { .. } | Self::Absent => None,
        }
    }

    /// Appends the rows of another value. Returns true if their kinds and shapes match.
    #[must_use]
    pub fn append(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::Tensor(own), Self::Tensor(other)) => own.append(other),
            (Self::Sequence(own), Self::Sequence(other)) if are_maps(own) && are_maps(&other) => {
                own.extend(other);
                true
            }
            (Self::Sequence(own), Self::Sequence(other)) => {
                own.len() == other.len() && own.iter_mut().zip(other).all(|(own, other)| own.append(other))
            }
            _ => false,
        }
    }

    /// Returns true if JSON can carry every number in the parts of these rows.
    #[must_use]
    pub fn rows_are_finite(&self, rows: Range<usize>) -> bool {
        match self {
            Self::Tensor(tensor) => tensor.rows_are_finite(rows),
            Self::Sequence(items) if are_maps(items) => {
                items.get(rows).is_some_and(|part| part.iter().all(Self::is_finite))
            }
            Self::Sequence(items) => items.iter().all(|item| item.rows_are_finite(rows.clone())),
            Self::Map { .. } | Self::Absent => self.is_finite(),
        }
    }

    /// Returns its kind in one word.
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

/// Returns true if every item is a map: classifiers output their probabilities as one map per row.
fn are_maps(items: &[Value]) -> bool {
    items.iter().all(|item| matches!(item, Value::Map { .. }))
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
