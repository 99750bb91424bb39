//! A value that is the same for all rows, repeated in each: tensors as nested lists, maps as objects.

use serde::{Serialize, Serializer};

use crate::model::{Tensor, Value};

/// A value that is written whole.
pub(crate) struct Whole<'v>(pub(crate) &'v Value);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Tensor(tensor) => {
                Nested { tensor, shape: tensor.shape(), offset: 0 }.serialize(serializer)
            }
            Value::Sequence(items) => serializer.collect_seq(items.iter().map(Whole)),
            Value::Map { keys, values } => {
                let entry = |index| Some((keys.get(index)?.to_string(), values.get(index)?));
                serializer.collect_map((0..keys.len()).filter_map(entry))
            }
            Value::Absent => serializer.serialize_none(),
        }
    }
}

/// A part of a tensor.
struct Nested<'t> {
    tensor: &'t Tensor,
    shape: &'t [usize],
    offset: usize,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { tensor, shape, offset } = *self;
        match shape.split_first() {
            None => tensor.data().get(offset).serialize(serializer),
            Some((&size, shape)) => {
                let width: usize = shape.iter().product();
                let item = |index| Nested { tensor, shape, offset: offset + index * width };
                serializer.collect_seq((0..size).map(item))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TensorData;

    #[test]
    fn values_keep_their_shape() {
        let tensor = |shape: &[usize], data: &[i64]| {
            Value::from(Tensor::new(shape.to_vec(), TensorData::I64(data.to_vec().into())).unwrap())
        };
        let keys = TensorData::String(vec!["a".to_owned()]);
        let map = Value::Map { keys, values: TensorData::F32(vec![f32::NAN].into()) };
        for (value, expected) in [
            (tensor(&[], &[7]), "7"),
            (tensor(&[1], &[7]), "[7]"),
            (tensor(&[2, 2], &[1, 2, 3, 4]), "[[1,2],[3,4]]"),
            (tensor(&[2, 0], &[]), "[[],[]]"),
            (Value::Sequence(vec![map, Value::Absent]), r#"[{"a":"NaN"},null]"#),
        ] {
            assert_eq!(serde_json::to_string(&Whole(&value)).unwrap(), expected);
        }
    }
}
