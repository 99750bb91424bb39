//! The greatest elements of an output, each with its index and label (extension `classification`): texts of the form
//! `VALUE:INDEX[:LABEL]`.

use std::borrow::Cow;

use super::output_error::{MAX_ELEMENTS, OutputError};
use crate::model::{
    Contract, Dimension, ElementType, Scalar, Tensor, TensorData, Value, ValueKind, ValueSpec,
};

/// Returns the `classes` greatest elements as texts, the greatest first. They are those of each row, `[rows, classes]`,
/// if the model takes rows, else those of the whole output, `[classes]`.
pub(super) fn greatest(
    spec: &ValueSpec,
    value: &Value,
    tensor: &Tensor,
    contract: &Contract,
    classes: usize,
) -> Result<Tensor, OutputError> {
    let (data, name) = (tensor.data(), &spec.name);
    let element_type = data.element_type();
    if matches!(element_type, ElementType::F16 | ElementType::Bf16 | ElementType::Bool | ElementType::String)
    {
        return Err(OutputError::NotClassifiable { name: name.clone(), element_type });
    }
    if data.len() > MAX_ELEMENTS {
        return Err(OutputError::TooManyElements(name.clone()));
    }
    let rows = tensor.shape().first().copied().filter(|_| has_rows(spec));
    let width = match rows {
        Some(rows) => tensor.row_width(rows).unwrap_or_default(),
        None => data.len(),
    };
    let classes = classes.min(width);
    let labels = labels(spec, value, contract, width);
    let mut texts = Vec::with_capacity(rows.unwrap_or(1) * classes);
    let mut order: Vec<(usize, Scalar<'_>)> = Vec::with_capacity(width);
    for row in 0..rows.unwrap_or(1) {
        order.clear();
        order.extend((0..width).filter_map(|index| Some((index, data.get(row * width + index)?))));
        order.sort_by(|(_, one), (_, other)| other.total_order(one));
        texts.extend(order.iter().take(classes).map(|(index, element)| {
            let label = labels.get(*index).map(|label| format!(":{label}")).unwrap_or_default();
            match element {
                // Six digits, as Triton writes it with C++'s `std::to_string`.
                Scalar::Single(number) => format!("{number:.6}:{index}{label}"),
                Scalar::Double(number) => format!("{number:.6}:{index}{label}"),
                other => format!("{other}:{index}{label}"),
            }
        }));
    }
    let shape = rows.into_iter().chain([classes]).collect();
    let found = Tensor::new(shape, TensorData::String(texts));
    found.map_err(|_| OutputError::NotATensor(name.clone(), value.kind()))
}

/// Returns true if the outermost dimension counts rows.
fn has_rows(spec: &ValueSpec) -> bool {
    match &spec.kind {
        ValueKind::Sequence(_) => true,
        _ => spec.as_tensor().is_some_and(|(_, shape)| matches!(shape.first(), Some(Dimension::Dynamic(_)))),
    }
}

/// Returns the class names of the elements of a row; empty if they have none.
fn labels(spec: &ValueSpec, value: &Value, contract: &Contract, width: usize) -> Vec<String> {
    // Other scores with the same number of columns need not belong to the classes.
    let is_named = !contract.classes.is_empty()
        || contract.graph.scored.contains(&spec.name)
        || spec.name.to_ascii_lowercase().contains("probab");
    match value.column_keys() {
        Some(keys) => {
            (0..keys.len()).filter_map(|index| Some(contract.key(keys.get(index)?).to_string())).collect()
        }
        None if is_named => contract.class_names(width).map(Cow::into_owned).unwrap_or_default(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(shape: &[Dimension], given: &[usize], data: TensorData, classes: usize) -> Vec<String> {
        let spec = ValueSpec::tensor("y", data.element_type(), shape.to_vec());
        let contract = Contract::new(Vec::new(), ["a", "b", "c"].map(str::to_owned).to_vec());
        let tensor = Tensor::new(given.to_vec(), data).unwrap();
        let value = Value::from(tensor.clone());
        let found = greatest(&spec, &value, &tensor, &contract, classes).unwrap();
        let TensorData::String(texts) = found.data() else { panic!("{found:?}") };
        texts.clone()
    }

    #[test]
    fn the_greatest_come_first_with_index_and_label() {
        let rows = [Dimension::Dynamic("N".to_owned()), Dimension::Fixed(3)];
        let data = TensorData::F32(vec![0.1, 3.3, f32::NAN, 5.0, -1.0, 2.0].into());
        assert_eq!(
            classified(&rows, &[2, 3], data, 2),
            ["NaN:2:c", "3.300000:1:b", "5.000000:0:a", "2.000000:2:c"]
        );
        let data = TensorData::I64(vec![3, 9].into());
        assert_eq!(classified(&[Dimension::Fixed(2)], &[2], data, 5), ["9:1", "3:0"], "no labels for two");
    }

    #[test]
    fn texts_have_no_greatest() {
        let spec = ValueSpec::tensor("y", ElementType::String, vec![Dimension::Fixed(1)]);
        let tensor = Tensor::new(vec![1], TensorData::String(vec!["a".to_owned()])).unwrap();
        let value = Value::from(tensor.clone());
        let error = greatest(&spec, &value, &tensor, &Contract::empty(), 1).unwrap_err();
        assert!(error.to_string().contains("of type BYTES"), "{error}");
    }
}
