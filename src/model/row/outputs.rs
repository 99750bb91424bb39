//! Outputs of a model, row by row.

use crate::model::{Output, Scalar, Signature, Tensor, TensorData, Value};

/// The outputs of a run, checked to hold one row for each row of the request.
#[derive(Debug)]
pub struct RowOutputs {
    rows: usize,
    outputs: Vec<ByRow>,
}

/// An output that holds rows.
#[derive(Debug)]
enum ByRow {
    /// One tensor, and the number of elements in a row.
    Tensor(Tensor, usize),
    /// Several tensors, as of a model with several targets.
    Tensors(Vec<(Tensor, usize)>),
    /// A map for each row: classifiers output their probabilities so.
    Maps(Vec<(TensorData, TensorData)>),
    /// One value for all rows.
    Constant(Value),
}

/// The part of an output for one row.
#[derive(Debug, PartialEq)]
pub enum RowValue<'o> {
    /// The elements of a tensor's row.
    Elements(Vec<Scalar<'o>>),
    /// The elements of each tensor's row.
    Parts(Vec<Vec<Scalar<'o>>>),
    /// Values by key.
    ByKey(Vec<(Scalar<'o>, Scalar<'o>)>),
    /// A value that is the same for all rows.
    Whole(&'o Value),
}

/// An output that does not hold one row for each row of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("output `{output}`, {found}, does not hold {rows} rows")]
pub struct NotByRow {
    /// Name of the output.
    pub output: String,
    /// Description of its value.
    pub found: String,
    /// Number of rows in the request.
    pub rows: usize,
}

impl RowOutputs {
    /// Checks the outputs of a run on `rows` rows; `outputs` and `roles` are in the order of the signature.
    ///
    /// # Errors
    ///
    /// When an output does not hold `rows` rows and is not the same for all of them.
    pub fn new(
        rows: usize,
        outputs: Vec<Value>,
        signature: &Signature,
        roles: &[Output],
    ) -> Result<Self, NotByRow> {
        if outputs.len() != signature.outputs.len() {
            let output =
                signature.outputs.get(outputs.len()).map(|spec| spec.name.clone()).unwrap_or_default();
            return Err(NotByRow { output, found: "which is missing".to_owned(), rows });
        }
        let by_row = |(index, value): (usize, Value)| {
            if roles.get(index) == Some(&Output::Constant) {
                return Ok(ByRow::Constant(value));
            }
            by_row(value, rows).map_err(|found| {
                let output = signature.outputs.get(index).map(|spec| spec.name.clone()).unwrap_or_default();
                NotByRow { output, found, rows }
            })
        };
        Ok(Self { rows, outputs: outputs.into_iter().enumerate().map(by_row).collect::<Result<_, _>>()? })
    }

    /// Returns the number of rows in the request.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Iterates over the part of each output for a row, in the order of the signature.
    pub fn row(&self, row: usize) -> impl Iterator<Item = RowValue<'_>> {
        self.outputs.iter().map(move |output| match output {
            ByRow::Tensor(tensor, width) => RowValue::Elements(slice(tensor, row, *width)),
            ByRow::Tensors(tensors) => {
                RowValue::Parts(tensors.iter().map(|(tensor, width)| slice(tensor, row, *width)).collect())
            }
            ByRow::Maps(maps) => RowValue::ByKey(maps.get(row).map(entries).unwrap_or_default()),
            ByRow::Constant(value) => RowValue::Whole(value),
        })
    }
}

/// Splits a value by row; the error describes a value that does not hold `rows` rows.
fn by_row(value: Value, rows: usize) -> Result<ByRow, String> {
    match value {
        Value::Tensor(tensor) => with_width(tensor, rows).map(|(tensor, width)| ByRow::Tensor(tensor, width)),
        Value::Sequence(items) if items.iter().all(|item| matches!(item, Value::Map { .. })) => {
            let count = items.len();
            let map = |item| match item {
                Value::Map { keys, values } => Some((keys, values)),
                _ => None,
            };
            let maps: Vec<_> = items.into_iter().filter_map(map).collect();
            if count == rows { Ok(ByRow::Maps(maps)) } else { Err(format!("a sequence of {count} maps")) }
        }
        Value::Sequence(items) => {
            let tensor = |item| match item {
                Value::Tensor(tensor) => with_width(tensor, rows),
                other => Err(other.kind().to_owned()),
            };
            let tensors = items.into_iter().map(tensor).collect::<Result<_, _>>();
            tensors.map(ByRow::Tensors).map_err(|found| format!("a sequence with {found} in it"))
        }
        other => Err(other.kind().to_owned()),
    }
}

fn with_width(tensor: Tensor, rows: usize) -> Result<(Tensor, usize), String> {
    match tensor.row_width(rows) {
        Some(width) => Ok((tensor, width)),
        None => Err(format!("of shape {:?}", tensor.shape())),
    }
}

fn slice(tensor: &Tensor, row: usize, width: usize) -> Vec<Scalar<'_>> {
    (row * width..(row + 1) * width).filter_map(|index| tensor.data().get(index)).collect()
}

fn entries((keys, values): &(TensorData, TensorData)) -> Vec<(Scalar<'_>, Scalar<'_>)> {
    (0..keys.len()).filter_map(|index| Some((keys.get(index)?, values.get(index)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, ValueSpec};

    fn by_row(rows: usize, value: Value) -> Result<RowOutputs, NotByRow> {
        let outputs = vec![ValueSpec::tensor("y", ElementType::F32, Vec::new())];
        RowOutputs::new(rows, vec![value], &Signature { inputs: Vec::new(), outputs }, &[Output::Prediction])
    }

    fn matrix(rows: usize, first: f32) -> Tensor {
        let data = [first, 1.0, 2.0, 3.0];
        Tensor::new(vec![rows, 2], TensorData::F32(data[..rows * 2].to_vec().into())).unwrap()
    }

    #[test]
    fn tensors_are_cut_into_rows() {
        let outputs = by_row(2, matrix(2, 0.0).into()).unwrap();
        let second = vec![Scalar::Single(2.0), Scalar::Single(3.0)];
        assert_eq!(outputs.row(1).collect::<Vec<_>>(), [RowValue::Elements(second.clone())]);
        let several = Value::Sequence(vec![matrix(2, 0.0).into(), matrix(2, 9.0).into()]);
        let outputs = by_row(2, several).unwrap();
        assert_eq!(outputs.row(1).collect::<Vec<_>>(), [RowValue::Parts(vec![second.clone(), second])]);
    }

    #[test]
    fn a_sequence_has_a_map_for_each_row() {
        let map =
            Value::Map { keys: TensorData::I64(vec![7].into()), values: TensorData::F32(vec![0.5].into()) };
        let outputs = by_row(1, Value::Sequence(vec![map.clone()])).unwrap();
        let entry = (Scalar::Integer(7), Scalar::Single(0.5));
        assert_eq!(outputs.row(0).collect::<Vec<_>>(), [RowValue::ByKey(vec![entry])]);
        let message = by_row(2, Value::Sequence(vec![map])).unwrap_err().to_string();
        assert_eq!(message, "output `y`, a sequence of 1 maps, does not hold 2 rows");
    }

    #[test]
    fn an_output_of_another_number_of_rows_is_none() {
        let message = by_row(3, matrix(2, 0.0).into()).unwrap_err().to_string();
        assert_eq!(message, "output `y`, of shape [2, 2], does not hold 3 rows");
        assert!(by_row(1, Value::Absent).is_err());
    }
}
