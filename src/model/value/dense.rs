//! Conversion of maps and sequences to one tensor, for protocols that carry only tensors. Classifiers of scikit-learn
//! output their probabilities as a sequence of maps from class to probability, one per row.

use std::borrow::Cow;

use crate::model::{Tensor, TensorData, Value};

impl Value {
    /// Converts the value to one tensor; `None` if it cannot. A map gives its values in order. Tensors of one shape, or
    /// maps with the same keys, are stacked along a new outermost dimension.
    #[must_use]
    pub fn as_tensor(&self) -> Option<Cow<'_, Tensor>> {
        match self {
            Self::Tensor(tensor) => Some(Cow::Borrowed(tensor)),
            Self::Map { values, .. } => Tensor::new(vec![values.len()], values.clone()).ok().map(Cow::Owned),
            Self::Sequence(items) => stacked(items).map(Cow::Owned),
            Self::Absent => None,
        }
    }

    /// Returns the keys of the columns that [`Value::as_tensor`] makes of maps; `None` if there is no map.
    #[must_use]
    pub fn column_keys(&self) -> Option<&TensorData> {
        match self {
            Self::Map { keys, .. } => Some(keys),
            Self::Sequence(items) => items.first()?.column_keys(),
            Self::Tensor(_) | Self::Absent => None,
        }
    }
}

fn stacked(items: &[Value]) -> Option<Tensor> {
    let keys = items.first()?.column_keys();
    if items.iter().any(|item| item.column_keys() != keys) {
        return None;
    }
    let parts = items.iter().map(Value::as_tensor).collect::<Option<Vec<_>>>()?;
    let first = parts.first()?;
    if parts.iter().any(|part| part.shape() != first.shape()) {
        return None;
    }
    let shape = std::iter::once(parts.len()).chain(first.shape().iter().copied()).collect();
    Tensor::new(shape, TensorData::concatenated(parts.iter().map(|part| part.data()))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(keys: &[i64], values: &[f32]) -> Value {
        Value::Map {
            keys: TensorData::I64(keys.to_vec().into()),
            values: TensorData::F32(values.to_vec().into()),
        }
    }

    #[test]
    fn maps_of_the_same_keys_are_rows() {
        let rows = Value::Sequence(vec![map(&[3, 5], &[0.25, 0.75]), map(&[3, 5], &[1.0, 0.0])]);
        let tensor = rows.as_tensor().unwrap();
        assert_eq!(tensor.shape(), [2, 2]);
        assert_eq!(*tensor.data(), TensorData::F32(vec![0.25, 0.75, 1.0, 0.0].into()));
        assert_eq!(rows.column_keys(), Some(&TensorData::I64(vec![3, 5].into())));
        let others = Value::Sequence(vec![map(&[3, 5], &[0.25, 0.75]), map(&[5, 3], &[1.0, 0.0])]);
        assert!(others.as_tensor().is_none(), "the columns would mean something else");
    }

    #[test]
    fn tensors_of_one_shape_are_stacked() {
        let tensor = |shape: &[usize], data: &[i32]| {
            Value::from(Tensor::new(shape.to_vec(), TensorData::I32(data.to_vec().into())).unwrap())
        };
        let stacked = Value::Sequence(vec![tensor(&[2], &[1, 2]), tensor(&[2], &[3, 4])]);
        assert_eq!(stacked.as_tensor().unwrap().shape(), [2, 2]);
        let ragged = Value::Sequence(vec![tensor(&[2], &[1, 2]), tensor(&[1], &[3])]);
        assert!(ragged.as_tensor().is_none());
        assert!(Value::Sequence(Vec::new()).as_tensor().is_none(), "nobody knows of which type");
        assert!(Value::Absent.as_tensor().is_none());
    }
}
