//! The native wire format: rows in, predictions out.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use crate::{
    model::{Output, Row, Scalar},
    serving::Prediction,
};

/// One row as `features`, or many as `instances`. A row is a list of values in the order of the model's features, or
/// an object of values by feature name.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = "one_of_both"))]
pub(super) struct PredictRequest {
    /// One row
    #[serde(default)]
    #[schema(value_type = Option<RowDocument>)]
    pub(super) features: Option<Row>,
    /// Many rows
    #[serde(default)]
    #[schema(value_type = Option<Vec<RowDocument>>)]
    pub(super) instances: Option<Vec<Row>>,
}

fn one_of_both(request: &PredictRequest) -> Result<(), ValidationError> {
    if request.features.is_some() == request.instances.is_some() {
        let message = "expected either `features` (one row) or `instances` (a list of rows)";
        return Err(ValidationError::new("one_of_both").with_message(message.into()));
    }
    if request.instances.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            ValidationError::new("no_rows").with_message("expected at least one row in `instances`".into())
        );
    }
    Ok(())
}

/// A row, for the documentation.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(examples(json!([5.1, 3.5, 1.4, 0.2])))]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum RowDocument {
    /// Values in the order of the model's features
    Positional(Vec<f64>),
    /// Values by feature name
    Named(BTreeMap<String, f64>),
}

/// The answer to one row (`prediction` and its companions) or to many (`predictions`).
//
// Only the schema is used: answers are written straight from the outputs.
#[derive(Serialize, ToSchema)]
pub(super) struct PredictAnswer {
    /// The model that answered
    #[schema(example = "iris")]
    model: String,
    /// Its version
    #[schema(example = "1")]
    version: String,
    /// The label or number, for one row
    #[schema(value_type = Option<Object>, example = "setosa")]
    prediction: Option<serde_json::Value>,
    /// The probability of each class, for one row of a classifier
    #[schema(example = json!({"setosa": 1.0, "versicolor": 0.0, "virginica": 0.0}))]
    probabilities: Option<BTreeMap<String, f64>>,
    /// Every further output of the model by name, for one row
    #[schema(value_type = Option<Object>)]
    outputs: Option<serde_json::Value>,
    /// The answer to each row, for many rows
    predictions: Option<Vec<RowAnswer>>,
}

/// The answer to one of many rows.
#[derive(Serialize, ToSchema)]
pub(super) struct RowAnswer {
    /// The label or number
    #[schema(value_type = Object, example = "setosa")]
    prediction: serde_json::Value,
    /// The probability of each class
    probabilities: Option<BTreeMap<String, f64>>,
    /// Every further output of the model by name
    #[schema(value_type = Option<Object>)]
    outputs: Option<serde_json::Value>,
}

/// Writes a prediction as the answer to one row or to many.
pub(super) struct Answer<'p> {
    pub(super) prediction: &'p Prediction,
    pub(super) many: bool,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let servable = &self.prediction.servable;
        map.serialize_entry("model", &servable.name)?;
        map.serialize_entry("version", &servable.version)?;
        if self.many {
            map.serialize_entry("predictions", &Rows(self.prediction))?;
        } else {
            write_row(&mut map, self.prediction, 0)?;
        }
        map.end()
    }
}

struct Rows<'p>(&'p Prediction);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.rows))?;
        for row in 0..self.0.rows {
            rows.serialize_element(&OneRow(self.0, row))?;
        }
        rows.end()
    }
}

struct OneRow<'p>(&'p Prediction, usize);

impl Serialize for OneRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_row(&mut map, self.0, self.1)?;
        map.end()
    }
}

fn write_row<M: SerializeMap>(map: &mut M, prediction: &Prediction, row: usize) -> Result<(), M::Error> {
    let mut others = Vec::new();
    for (name, output, values) in prediction.row(row) {
        match output {
            Output::Prediction => {
                let labels = values.into_iter().map(|value| prediction.label(value)).collect();
                map.serialize_entry("prediction", &Values(labels))?;
            }
            Output::Probabilities => {
                let names = prediction.class_names(values.len());
                map.serialize_entry(
                    "probabilities",
                    &ByName(names.iter().map(String::as_str).zip(values).collect()),
                )?;
            }
            Output::Other => others.push((name, Values(values))),
        }
    }
    if !others.is_empty() {
        map.serialize_entry("outputs", &ByName(others))?;
    }
    Ok(())
}

/// The values of one row of an output: alone if there is one, else as a list.
struct Values<'p>(Vec<Scalar<'p>>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] => only.serialize(serializer),
            several => serializer.collect_seq(several),
        }
    }
}

struct ByName<'p, V>(Vec<(&'p str, V)>);

impl<V: Serialize> Serialize for ByName<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Scalar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
