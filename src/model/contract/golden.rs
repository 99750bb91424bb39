//! Golden cases: inputs with the outputs that the model must give for them, as nested lists.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{ElementType, Signature, Tensor, TensorData, TensorSpec};

/// Inputs with the outputs that the model must give for them.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenCase {
    /// Every input of the model by name.
    pub inputs: Vec<(String, Tensor)>,
    /// The outputs that are compared, by name.
    pub outputs: Vec<(String, Tensor)>,
}

/// A golden case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoldenDocument {
    inputs: BTreeMap<String, Value>,
    outputs: BTreeMap<String, Value>,
}

impl GoldenDocument {
    /// The case of this number, checked against the model's signature; else what is wrong with it.
    pub(super) fn read(self, index: usize, signature: &Signature) -> Result<GoldenCase, String> {
        if let Some(missing) = signature.inputs.iter().find(|input| !self.inputs.contains_key(&input.name)) {
            return Err(format!("golden case {index} has no input `{}`", missing.name));
        }
        if self.outputs.is_empty() {
            return Err(format!("golden case {index} compares no output"));
        }
        let tensors = |values: BTreeMap<String, Value>, specs: &[TensorSpec]| {
            values
                .into_iter()
                .map(|(name, value)| {
                    let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
                        return Err(format!(
                            "golden case {index} names `{name}`, which the model does not have"
                        ));
                    };
                    match tensor_from_json(&value, spec.element_type) {
                        Some(tensor) => Ok((name, tensor)),
                        None => Err(format!(
                            "golden case {index}: `{name}` is not a nested list of {} values of one shape",
                            spec.element_type
                        )),
                    }
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(GoldenCase {
            inputs: tensors(self.inputs, &signature.inputs)?,
            outputs: tensors(self.outputs, &signature.outputs)?,
        })
    }
}

/// A tensor from nested lists, or nothing if they are ragged or hold anything but `element_type`.
fn tensor_from_json(value: &Value, element_type: ElementType) -> Option<Tensor> {
    let mut shape = Vec::new();
    let mut level = value;
    while let Value::Array(items) = level {
        shape.push(items.len());
        match items.first() {
            Some(first) => level = first,
            None => break,
        }
    }
    let mut leaves = Vec::new();
    collect_leaves(value, &shape, &mut leaves)?;
    Tensor::new(shape, elements_from_json(&leaves, element_type)?).ok()
}

fn collect_leaves<'v>(value: &'v Value, shape: &[usize], leaves: &mut Vec<&'v Value>) -> Option<()> {
    match (shape.split_first(), value) {
        (Some((&size, inner)), Value::Array(items)) if items.len() == size => {
            items.iter().try_for_each(|item| collect_leaves(item, inner, leaves))
        }
        (None, leaf) if !leaf.is_array() => {
            leaves.push(leaf);
            Some(())
        }
        _ => None,
    }
}

fn elements_from_json(leaves: &[&Value], element_type: ElementType) -> Option<TensorData> {
    fn integers<T: TryFrom<i128>>(leaves: &[&Value]) -> Option<Vec<T>> {
        let integer = |leaf: &&Value| {
            let wide = leaf.as_i64().map(i128::from).or_else(|| leaf.as_u64().map(i128::from))?;
            T::try_from(wide).ok()
        };
        leaves.iter().map(integer).collect()
    }
    #[expect(clippy::cast_possible_truncation, reason = "golden values are compared within a tolerance")]
    let float = |leaf: &&Value| leaf.as_f64().map(|wide| wide as f32);
    Some(match element_type {
        ElementType::F32 => TensorData::F32(leaves.iter().map(float).collect::<Option<_>>()?),
        ElementType::F64 => TensorData::F64(leaves.iter().map(|leaf| leaf.as_f64()).collect::<Option<_>>()?),
        ElementType::I8 => TensorData::I8(integers(leaves)?),
        ElementType::I16 => TensorData::I16(integers(leaves)?),
        ElementType::I32 => TensorData::I32(integers(leaves)?),
        ElementType::I64 => TensorData::I64(integers(leaves)?),
        ElementType::U8 => TensorData::U8(integers(leaves)?),
        ElementType::U16 => TensorData::U16(integers(leaves)?),
        ElementType::U32 => TensorData::U32(integers(leaves)?),
        ElementType::U64 => TensorData::U64(integers(leaves)?),
        ElementType::Bool => {
            TensorData::Bool(leaves.iter().map(|leaf| leaf.as_bool()).collect::<Option<_>>()?)
        }
        ElementType::String => {
            let text = |leaf: &&Value| leaf.as_str().map(str::to_owned);
            TensorData::String(leaves.iter().map(text).collect::<Option<_>>()?)
        }
    })
}
