//! A second writer of responses to rows, by serde: what the writer of the product writes is compared with this.

use onnx_gateway::model::{
    Contract, Layout, ModelVersion, Output, RowOutputs, RowValue, Scalar, Signature, Tensor, Value,
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// Serializer of a model's outputs for rows.
#[derive(Clone, Copy, Debug)]
pub struct RowsAnswer<'a> {
    /// The model that ran.
    pub model: &'a str,
    /// The version that ran.
    pub version: ModelVersion,
    /// The outputs that the model declares.
    pub signature: &'a Signature,
    /// The names of the classes.
    pub contract: &'a Contract,
    /// The role of each output.
    pub layout: &'a Layout,
    /// The output values.
    pub outputs: &'a RowOutputs,
    /// True if the request had a list of rows.
    pub many: bool,
}

impl Serialize for RowsAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("version", &self.version)?;
        if self.many {
            map.serialize_entry("predictions", &Rows(self))?;
        } else {
            self.write_row(&mut map, 0)?;
        }
        map.end()
    }
}

impl RowsAnswer<'_> {
    fn write_row<M: SerializeMap>(&self, map: &mut M, row: usize) -> Result<(), M::Error> {
        let mut others = Vec::new();
        let declared = self.signature.outputs.iter().zip(&self.layout.outputs);
        for ((spec, role), value) in declared.zip(self.outputs.row(row)) {
            match role {
                Output::Prediction => {
                    map.serialize_entry("prediction", &Written(labelled(value, self.contract)))?;
                }
                Output::Probabilities => {
                    map.serialize_entry("probabilities", &Written(by_class(value, self.contract)))?;
                }
                Output::Other | Output::Constant => others.push((spec.name.as_str(), Written(value))),
            }
        }
        if !others.is_empty() {
            map.serialize_entry("outputs", &ByName(others))?;
        }
        Ok(())
    }
}

/// Replaces the numbers of classes by their labels.
fn labelled<'l>(value: RowValue<'l>, contract: &'l Contract) -> RowValue<'l> {
    match value {
        RowValue::Elements(elements) => {
            RowValue::Elements(elements.into_iter().map(|element| contract.label(element)).collect())
        }
        other => other,
    }
}

/// An output of a row in its written form: by the names of the classes if they are known.
enum ByClass<'v> {
    Named(Vec<(String, Scalar<'v>)>),
    Other(RowValue<'v>),
}

/// Assigns probabilities to the names of their classes.
fn by_class<'v>(value: RowValue<'v>, contract: &'v Contract) -> ByClass<'v> {
    match value {
        RowValue::Elements(elements) => match contract.class_names(elements.len()) {
            Some(names) => ByClass::Named(names.iter().cloned().zip(elements).collect()),
            None => ByClass::Other(RowValue::Elements(elements)),
        },
        RowValue::ByKey(entries) => {
            let named = |(key, value)| (contract.key(key).to_string(), value);
            ByClass::Named(entries.into_iter().map(named).collect())
        }
        other @ (RowValue::Parts(_) | RowValue::Whole(_)) => ByClass::Other(other),
    }
}

struct Written<V>(V);

impl Serialize for Written<ByClass<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            ByClass::Named(named) => serializer.collect_map(named.iter().map(|(name, value)| (name, value))),
            ByClass::Other(other) => write_value(other, serializer),
        }
    }
}

impl Serialize for Written<RowValue<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_value(&self.0, serializer)
    }
}

fn write_value<S: Serializer>(value: &RowValue<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        RowValue::Elements(elements) => Elements(elements).serialize(serializer),
        RowValue::Parts(parts) => serializer.collect_seq(parts.iter().map(|part| Elements(part))),
        RowValue::ByKey(entries) => {
            serializer.collect_map(entries.iter().map(|(key, value)| (key.to_string(), value)))
        }
        RowValue::Whole(value) => Whole(value).serialize(serializer),
    }
}

/// The elements of one row of a tensor: bare if there is one, else as a list.
struct Elements<'v>(&'v [Scalar<'v>]);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [only] => only.serialize(serializer),
            several => serializer.collect_seq(several),
        }
    }
}

struct Rows<'a>(&'a RowsAnswer<'a>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.0.outputs.rows();
        let mut list = serializer.serialize_seq(Some(rows))?;
        for row in 0..rows {
            list.serialize_element(&OneRow(self.0, row))?;
        }
        list.end()
    }
}

struct OneRow<'a>(&'a RowsAnswer<'a>, usize);

impl Serialize for OneRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write_row(&mut map, self.1)?;
        map.end()
    }
}

struct ByName<'p, V>(Vec<(&'p str, V)>);

impl<V: Serialize> Serialize for ByName<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A value that is the same for all rows: tensors as nested lists, maps as objects.
struct Whole<'v>(&'v Value);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Tensor(tensor) => Nested(tensor, 0, 0).serialize(serializer),
            Value::Sequence(items) => serializer.collect_seq(items.iter().map(Whole)),
            Value::Map { keys, values } => {
                let entry = |index| Some((keys.get(index)?.to_string(), values.get(index)?));
                serializer.collect_map((0..keys.len()).filter_map(entry))
            }
            Value::Absent => serializer.serialize_none(),
        }
    }
}

/// The part of a tensor at a depth, from an element on.
struct Nested<'t>(&'t Tensor, usize, usize);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tensor, depth, from) = *self;
        let Some(&size) = tensor.shape().get(depth) else {
            return tensor.data().get(from).serialize(serializer);
        };
        let width: usize = tensor.shape()[depth + 1..].iter().product();
        serializer.collect_seq((0..size).map(|index| Nested(tensor, depth + 1, from + index * width)))
    }
}
