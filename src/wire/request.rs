//! What a prediction is asked with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::RowBase;
use crate::model::{Row, TensorDocuments};

/// One row as `features`, many as `instances`, or whole tensors as `inputs`. A row is a list of values in the order of
/// the model's features, or an object of values by feature name. Tensors are what every model takes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = "one_of_all"))]
pub struct PredictRequest {
    /// One row
    #[serde(default)]
    #[schema(value_type = Option<RowDocument>)]
    features: Option<Row>,
    /// Many rows
    #[serde(default)]
    #[schema(value_type = Option<Vec<RowDocument>>)]
    instances: Option<Vec<Row>>,
    /// A tensor for each input, by name
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, InputDocument>>)]
    inputs: Option<TensorDocuments>,
}

/// What a request asks with.
#[derive(Debug)]
pub enum Asked {
    /// Rows, and how they were given.
    Rows(Vec<Row>, RowBase),
    /// Whole tensors.
    Inputs(TensorDocuments),
}

impl PredictRequest {
    /// The one way of asking that the request has.
    #[must_use]
    pub fn asked(self) -> Asked {
        match (self.features, self.instances, self.inputs) {
            (Some(row), ..) => Asked::Rows(vec![row], RowBase::Features),
            (None, Some(rows), _) => Asked::Rows(rows, RowBase::Instances),
            (None, None, inputs) => Asked::Inputs(inputs.unwrap_or_default()),
        }
    }
}

fn one_of_all(request: &PredictRequest) -> Result<(), ValidationError> {
    let given = [request.features.is_some(), request.instances.is_some(), request.inputs.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let message = "expected one of `features` (one row), `instances` (a list of rows) and `inputs` (tensors by name)";
        return Err(ValidationError::new("one_of_both").with_message(message.into()));
    }
    if request.instances.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            ValidationError::new("no_rows").with_message("expected at least one row in `instances`".into())
        );
    }
    Ok(())
}

/// A row.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(examples(json!([5.1, 3.5, 1.4, 0.2])))]
#[expect(dead_code, reason = "only its schema is used")]
enum RowDocument {
    /// Values in the order of the model's features
    Positional(Vec<CellDocument>),
    /// Values by feature name
    Named(BTreeMap<String, CellDocument>),
}

/// A value of a row: a number, a text, true or false; null where the contract says what stands in for it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum CellDocument {
    /// A number
    Number(f64),
    /// A text
    Text(String),
    /// true or false
    Truth(bool),
    /// No value
    Null(()),
}

/// A tensor: nested lists, one bare value, or flat elements with their shape. The texts `NaN`, `Infinity` and
/// `-Infinity` stand for these numbers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(examples(json!([[5.1, 3.5, 1.4, 0.2]])))]
#[expect(dead_code, reason = "only its schema is used")]
enum InputDocument {
    /// Elements with their shape
    Flat {
        /// The size of each dimension
        shape: Vec<usize>,
        /// The elements, row-major
        data: Vec<CellDocument>,
        /// The element type, which must be the model's
        datatype: Option<String>,
    },
    /// Lists in lists
    #[schema(value_type = Vec<Value>)]
    Nested(Vec<serde_json::Value>),
    /// A tensor without dimensions
    Bare(CellDocument),
}
