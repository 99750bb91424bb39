//! Requests and responses of TensorFlow Serving's REST API, shared by KServe's V1 protocol, MLflow and Vertex AI.
//! Tensors are nested lists without types, by row (`instances`) or by input (`inputs`).

mod entries;
mod examples;
mod instances;
mod metadata;
mod objects;
mod read_part;
mod request;
mod response;
mod results;
mod status;

pub(in crate::protocols) use entries::{Entries, Glance, MAX_VALUES};
pub(in crate::protocols) use instances::{MAX_ROWS_BYTES, read_list_of_rows, read_objects};
pub(in crate::protocols) use objects::{HELD_BYTES, ObjectList, Objects, Visit, each_item};
pub(in crate::protocols) use read_part::{read, too_many};
pub(in crate::protocols) use request::check_parameters;

pub use examples::read_examples;
pub use instances::{Instances, PredictInputs, read_columns, read_instances};
pub use metadata::MetadataDocument;
pub use request::{TensorFlowRequest, read_request};
pub(super) use response::BYTES_SUFFIX;
pub use response::{Columns, NotPredictions, Predictions};
pub use results::{NoResult, classes, numbers};
pub use status::{ModelStatusDocument, VersionStatusDocument};

/// The only signature of an ONNX model, by TensorFlow's name.
pub const SIGNATURE_NAME: &str = "serving_default";
