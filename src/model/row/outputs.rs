//! Outputs of a model, row by row.

use crate::model::{Output, Scalar, Signature, Tensor, TensorData, Value};

/// The outputs of a run, checked to hold one row for each row of the request.
#[derive(Debug)]
pub struct RowOutputs {
    rows: usize,
    values: Vec<Value>,
    /// True for each output that is the same for all rows.
    is_constant: Vec<bool>,
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
        let is_constant: Vec<bool> =
            (0..outputs.len()).map(|index| roles.get(index) == Some(&Output::Constant)).collect();
        for ((spec, value), is_constant) in signature.outputs.iter().zip(&outputs).zip(&is_constant) {
            if let Some(found) = (!is_constant).then(|| objection(value, rows)).flatten() {
                return Err(NotByRow { output: spec.name.clone(), found, rows });
            }
        }
        Ok(Self { rows, values: outputs, is_constant })
    }

    /// Returns the outputs, in the order of the signature.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Returns the number of rows in the request.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Iterates over the part of each output for a row, in the order of the signature.
    pub fn row(&self, row: usize) -> impl Iterator<Item = RowValue<'_>> {
        self.values.iter().zip(&self.is_constant).map(move |(value, is_constant)| match value {
            whole if *is_constant => RowValue::Whole(whole),
            Value::Tensor(tensor) => RowValue::Elements(slice(tensor, row, self.rows)),
            Value::Sequence(items) => match items.get(row) {
                Some(Value::Map { keys, values }) => RowValue::ByKey(entries(keys, values)),
                _ => RowValue::Parts(items.iter().filter_map(|item| part(item, row, self.rows)).collect()),
            },
            Value::Map { .. } | Value::Absent => RowValue::Parts(Vec::new()),
        })
    }
}

/// Describes a value that does not hold `rows` rows; `None` if it does.
fn objection(value: &Value, rows: usize) -> Option<String> {
    let of_tensor =
        |tensor: &Tensor| tensor.row_width(rows).is_none().then(|| format!("of shape {:?}", tensor.shape()));
    match value {
        Value::Tensor(tensor) => of_tensor(tensor),
        Value::Sequence(items) if items.iter().all(|item| matches!(item, Value::Map { .. })) => {
            (items.len() != rows).then(|| format!("a sequence of {} maps", items.len()))
        }
        Value::Sequence(items) => {
            let of_item = |item: &Value| match item {
                Value::Tensor(tensor) => of_tensor(tensor),
                other => Some(other.kind().to_owned()),
            };
            items.iter().find_map(of_item).map(|found| format!("a sequence with {found} in it"))
        }
        other => Some(other.kind().to_owned()),
    }
}

/// Returns the elements of a row of one of several tensors.
fn part(item: &Value, row: usize, rows: usize) -> Option<Vec<Scalar<'_>>> {
    if let Value::Tensor(tensor) = item { Some(slice(tensor, row, rows)) } else { None }
}

fn slice(tensor: &Tensor, row: usize, rows: usize) -> Vec<Scalar<'_>> {
    let width = tensor.row_width(rows).unwrap_or_default();
    (row * width..(row + 1) * width).filter_map(|index| tensor.data().get(index)).collect()
}

fn entries<'v>(keys: &'v TensorData, values: &'v TensorData) -> Vec<(Scalar<'v>, Scalar<'v>)> {
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
