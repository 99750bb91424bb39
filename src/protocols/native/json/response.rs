//! Schemas of responses, for the API description only.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::codec::values::ValueDocument;

/// The response to one row (`prediction` and its companions), to many (`predictions`), or to tensors (`outputs` alone).
//
// [`ResponseTemplate`](super::ResponseTemplate) writes responses straight from the outputs.
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
