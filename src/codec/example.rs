//! Example requests as JSON on one line, of inputs that a model should accept.

use crate::model::{Contract, Layout, Scalar, Tensor};

/// Most columns of a row that is written by name: a longer row is written as a list.
const MAX_NAMED: usize = 12;

/// Writes a native request of the first row of the inputs; `None` if they lack one.
#[must_use]
pub fn row_example(layout: &Layout, contract: &Contract, inputs: &[(String, Tensor)]) -> Option<String> {
    let value = |column: usize| {
        let (input, index) = layout.place(column)?;
        let (_, tensor) = inputs.iter().find(|(name, _)| name == input)?;
        let value = tensor.data().get(index)?;
        // A row has null where a value is missing.
        let is_missing = value.as_float().is_some_and(f64::is_nan);
        Some(if is_missing { "null".to_owned() } else { written(value) })
    };
    let values: Vec<String> = (0..layout.columns()).map(value).collect::<Option<_>>()?;
    let has_names = contract.features.len() == values.len() && values.len() <= MAX_NAMED;
    Some(if has_names {
        let named = contract.features.iter().zip(&values);
        let fields: Vec<String> =
            named.map(|(feature, value)| format!("{}: {value}", text(&feature.name))).collect();
        format!("{{\"features\": {{{}}}}}", fields.join(", "))
    } else {
        format!("{{\"features\": [{}]}}", values.join(", "))
    })
}

/// Writes a native request of tensors as nested lists.
#[must_use]
pub fn tensors_example(inputs: &[(String, Tensor)]) -> String {
    let fields: Vec<String> = inputs
        .iter()
        .map(|(name, tensor)| {
            let mut values = elements(tensor);
            let list = if tensor.shape().contains(&0) {
                format!("{{\"shape\": {:?}, \"data\": []}}", tensor.shape())
            } else {
                nested(tensor.shape(), &mut values)
            };
            format!("{}: {list}", text(name))
        })
        .collect();
    format!("{{\"inputs\": {{{}}}}}", fields.join(", "))
}

/// Writes a request of tensors by name, each with its shape and type.
#[must_use]
pub fn infer_example(inputs: &[(String, Tensor)]) -> String {
    let inputs: Vec<String> = inputs
        .iter()
        .map(|(name, tensor)| {
            let datatype = tensor.data().element_type().name();
            let data: Vec<String> = elements(tensor).collect();
            let (name, shape) = (text(name), tensor.shape());
            format!(
                "{{\"name\": {name}, \"shape\": {shape:?}, \"datatype\": \"{datatype}\", \"data\": [{}]}}",
                data.join(", ")
            )
        })
        .collect();
    format!("{{\"inputs\": [{}]}}", inputs.join(", "))
}

fn nested(shape: &[usize], values: &mut impl Iterator<Item = String>) -> String {
    match shape.split_first() {
        None => values.next().unwrap_or_default(),
        Some((size, inner)) => {
            let items: Vec<String> = (0..*size).map(|_| nested(inner, values)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn elements(tensor: &Tensor) -> impl Iterator<Item = String> + '_ {
    (0..tensor.data().len()).filter_map(|index| tensor.data().get(index)).map(written)
}

/// Writes a value with few digits: 1 for 1.0.
fn written(value: Scalar<'_>) -> String {
    let json = serde_json::to_string(&value).unwrap_or_default();
    json.strip_suffix(".0").map_or(json.clone(), str::to_owned)
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Feature, Signature, TensorData, ValueSpec};

    fn inputs(shape: &[usize], data: TensorData) -> Vec<(String, Tensor)> {
        vec![("x".to_owned(), Tensor::new(shape.to_vec(), data).unwrap())]
    }

    #[test]
    fn rows_are_written_by_name_where_there_are_names() {
        let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(2)];
        let signature =
            Signature { inputs: vec![ValueSpec::tensor("x", ElementType::F32, shape)], outputs: Vec::new() };
        let inputs = inputs(&[1, 2], TensorData::F32(vec![5.1, f32::NAN].into()));
        let written = |contract: &Contract| {
            let layout = Layout::of(&signature, contract).unwrap().unwrap();
            row_example(&layout, contract, &inputs).unwrap()
        };
        assert_eq!(written(&Contract::empty()), r#"{"features": [5.1, null]}"#);
        let named = Contract::new(vec![Feature::new("a"), Feature::new("b\"")], Vec::new());
        assert_eq!(written(&named), r#"{"features": {"a": 5.1, "b\"": null}}"#);
    }

    #[test]
    fn tensors_are_nested_lists_of_their_shape() {
        let numbers = inputs(&[1, 2, 2], TensorData::F32(vec![1.0, 2.5, 3.0, 4.0].into()));
        assert_eq!(tensors_example(&numbers), r#"{"inputs": {"x": [[[1, 2.5], [3, 4]]]}}"#);
        let scalar = inputs(&[], TensorData::I64(vec![7].into()));
        assert_eq!(tensors_example(&scalar), r#"{"inputs": {"x": 7}}"#);
        assert_eq!(
            infer_example(&inputs(&[1], TensorData::String(vec!["it's".to_owned()]))),
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["it's"]}]}"#
        );
    }
}
