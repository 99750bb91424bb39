//! The response to rows.

use std::collections::BTreeMap;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use utoipa::ToSchema;

use crate::{
    codec::{values::ValueDocument, whole::Whole},
    model::{Contract, Layout, ModelVersion, Output, RowOutputs, RowValue, Scalar, Signature},
};

/// The response to one row (`prediction` and its companions), to many (`predictions`), or to tensors (`outputs` alone).
//
// Only the schema is used: responses are written straight from the outputs.
#[derive(Serialize, ToSchema)]
pub struct PredictAnswer {
    /// The model that ran
    #[schema(example = "iris")]
    model: String,
    /// The version that ran
    #[schema(example = "1")]
    version: String,
    /// The label or number, for one row
    #[schema(value_type = Option<Value>, example = "setosa")]
    prediction: Option<serde_json::Value>,
    /// The probability of each class, for one row of a classifier: by name, or a list if the names are unknown
    #[schema(value_type = Option<Value>, example = json!({"setosa": 1.0, "versicolor": 0.0, "virginica": 0.0}))]
    probabilities: Option<serde_json::Value>,
    /// Every further output of the model by name, for one row; every output, for tensors
    outputs: Option<BTreeMap<String, ValueDocument>>,
    /// The result of each row, for many rows
    predictions: Option<Vec<RowAnswer>>,
}

/// The result of one of many rows.
#[derive(Serialize, ToSchema)]
pub struct RowAnswer {
    /// The label or number
    #[schema(value_type = Value, example = "setosa")]
    prediction: serde_json::Value,
    /// The probability of each class: by name, or a list if the names are unknown
    #[schema(value_type = Option<Value>)]
    probabilities: Option<serde_json::Value>,
    /// Every further output of the model by name
    #[schema(value_type = Option<Object>)]
    outputs: Option<serde_json::Value>,
}

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
