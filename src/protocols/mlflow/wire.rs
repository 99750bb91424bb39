//! Requests of MLflow's scoring server: frames of rows and columns as JSON or CSV, or tensors in the form of TensorFlow
//! Serving.

mod frame;
mod table;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

pub use table::{Header, ROWS as CSV_ROWS, read_csv};

use crate::{
    codec::{BodyError, FieldError, Model, body::parse},
    protocols::tensorflow::wire::{Instances, PredictInputs, check_parameters, read_columns, read_instances},
};

/// The inputs of a request. A request by row has a response by row, a request by input one by output.
#[derive(Debug)]
pub enum MlflowRequest {
    /// By row, in the list at this place.
    Rows(Instances, &'static str),
    /// By input.
    Columns(PredictInputs),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'b> {
    #[serde(borrow, default)]
    dataframe_split: Option<frame::Split<'b>>,
    #[serde(borrow, default)]
    dataframe_records: Option<&'b RawValue>,
    #[serde(borrow, default)]
    instances: Option<&'b RawValue>,
    #[serde(borrow, default)]
    inputs: Option<&'b RawValue>,
    #[serde(default)]
    params: Option<Map<String, Value>>,
}

/// Reads a JSON request to a model of this signature.
///
/// # Errors
///
/// If it is not JSON, or not what the model takes, with the place.
pub fn read_json(body: &[u8], model: Model<'_>) -> Result<MlflowRequest, BodyError> {
    const RECORDS: &str = "/dataframe_records";
    const INSTANCES: &str = "/instances";
    let Document { dataframe_split, dataframe_records, instances, inputs, params } = parse(body)?;
    check_parameters("params", params.as_ref())?;
    match (dataframe_split, dataframe_records, instances, inputs) {
        (Some(split), None, None, None) => {
            let rows = split.read(model)?;
            Ok(MlflowRequest::Rows(rows, frame::SPLIT_DATA))
        }
        (None, Some(records), None, None) => {
            let rows = frame::read_records(records, RECORDS, model)?;
            Ok(MlflowRequest::Rows(rows, RECORDS))
        }
        (None, None, Some(instances), None) => {
            let rows = read_instances(instances, INSTANCES, model)?;
            Ok(MlflowRequest::Rows(rows, INSTANCES))
        }
        (None, None, None, Some(inputs)) => read_columns(inputs, model.signature).map(MlflowRequest::Columns),
        _ => {
            let message = "expected one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`";
            Err(BodyError::Invalid(vec![FieldError::new("", "exactly_one_of", message)]))
        }
    }
}
