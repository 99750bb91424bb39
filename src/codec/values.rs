//! The response to tensors: every output unchanged.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use crate::model::{ModelVersion, Scalar, Signature, TensorData, Value, non_finite_text, on_elements};

/// Serializer of a model's outputs for tensors.
#[derive(Clone, Copy, Debug)]
pub struct TensorsResponse<'a> {
    /// The model that ran.
    pub model: &'a str,
    /// The version that ran.
    pub version: ModelVersion,
    /// The outputs that the model declares.
    pub signature: &'a Signature,
    /// The output values, in the order of the signature.
    pub outputs: &'a [Value],
}

impl Serialize for TensorsResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("version", &self.version)?;
        map.serialize_entry("outputs", &Outputs(self))?;
        map.end()
    }
}

struct Outputs<'a>(&'a TensorsResponse<'a>);

impl Serialize for Outputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.0.signature.outputs.iter().zip(self.0.outputs);
        serializer.collect_map(named.map(|(spec, value)| (&spec.name, Written(value))))
    }
}

/// An output; an optional one that is absent is null.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ValueDocument {
    /// A tensor
    Tensor(TensorValue),
    /// Any number of values
    Sequence(SequenceValue),
    /// Values by key
    Map(MapValue),
}

/// A tensor.
#[derive(Serialize, ToSchema)]
pub struct TensorValue {
    /// The type of the elements, as the Open Inference Protocol names it
    #[schema(example = "FP32")]
    datatype: String,
    /// The size of each dimension
    shape: Vec<usize>,
    /// The elements, row-major: numbers, texts, or true and false. The texts `NaN`, `Infinity` and `-Infinity` stand
    /// for these numbers.
    data: Vec<serde_json::Value>,
}

/// Any number of values.
#[derive(Serialize, ToSchema)]
pub struct SequenceValue {
    /// The values: each a tensor, a sequence or a map. Not by reference, as client generators fail on types that
    /// contain themselves.
    sequence: Vec<serde_json::Value>,
}

/// Values by key.
#[derive(Serialize, ToSchema)]
pub struct MapValue {
    /// The values
    map: BTreeMap<String, serde_json::Value>,
}

struct Written<'v>(&'v Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Tensor(tensor) => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("datatype", tensor.data().element_type().name())?;
                map.serialize_entry("shape", tensor.shape())?;
                map.serialize_entry("data", &Elements(tensor.data()))?;
                map.end()
            }
            Value::Sequence(values) => {
                let values: Vec<Written> = values.iter().map(Written).collect();
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("sequence", &values)?;
                map.end()
            }
            Value::Map { keys, values } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("map", &Entries(keys, values))?;
                map.end()
            }
            Value::Absent => serializer.serialize_none(),
        }
    }
}

/// The elements of a tensor as a flat list.
pub(crate) struct Elements<'v>(pub(crate) &'v TensorData);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        on_elements!(self.0, elements => serializer.collect_seq(elements.iter().map(Scalar::from)))
    }
}

struct Entries<'v>(&'v TensorData, &'v TensorData);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |index| Some((self.0.get(index)?.to_string(), self.1.get(index)?));
        serializer.collect_map((0..self.0.len()).filter_map(entry))
    }
}

impl Serialize for Scalar<'_> {
    /// Writes numbers that JSON does not have as texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(number) = self.as_float().filter(|number| !number.is_finite()) {
            return serializer.serialize_str(non_finite_text(number));
        }
        match *self {
            Scalar::Integer(value) => serializer.serialize_i64(value),
            Scalar::Unsigned(value) => serializer.serialize_u64(value),
            Scalar::Single(value) => serializer.serialize_f32(value),
            Scalar::Double(value) => serializer.serialize_f64(value),
            Scalar::Bool(value) => serializer.serialize_bool(value),
            Scalar::Text(value) => serializer.serialize_str(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tensor;

    fn json(value: &Value) -> String {
        serde_json::to_string(&Written(value)).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_written_as_it_is() {
        let tensor = |shape: &[usize], data| Value::Tensor(Tensor::new(shape.to_vec(), data).unwrap());
        let numbers = tensor(&[3], TensorData::F32(vec![0.1, f32::NAN, f32::NEG_INFINITY].into()));
        assert_eq!(json(&numbers), r#"{"datatype":"FP32","shape":[3],"data":[0.1,"NaN","-Infinity"]}"#);
        let large = tensor(&[], TensorData::U64(vec![u64::MAX].into()));
        assert_eq!(json(&large), r#"{"datatype":"UINT64","shape":[],"data":[18446744073709551615]}"#);
        let keys = TensorData::String(vec!["a".to_owned()]);
        let map = Value::Map { keys, values: TensorData::F32(vec![0.5].into()) };
        assert_eq!(
            json(&Value::Sequence(vec![map, Value::Absent])),
            r#"{"sequence":[{"map":{"a":0.5}},null]}"#
        );
    }
}
