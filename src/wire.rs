//! Forms of requests and responses for every transport: native JSON, the Open Inference Protocol, TensorFlow Serving,
//! MLflow, and tensors as bytes.

mod answer;
mod body;
mod cursor;
mod elements;
mod field_error;
mod flat_rows;
mod json_element;
pub mod mlflow;
mod model;
pub mod open_inference;
mod request;
mod rows_asked;
mod rows_writer;
pub mod tensor_bytes;
pub mod tensorflow;
mod values;
mod whole;

pub use answer::{PredictAnswer, RowAnswer, RowsAnswer};
pub use body::{BodyError, other_encoding, parse, parse_valid, without_mark};
pub use field_error::{FieldError, RowBase, input_errors, input_pointer, row_errors};
pub use flat_rows::{FlatRows, read_flat_rows};
pub use model::Model;
pub use request::{PredictRequest, PredictRequestDocument, RequestInputs};
pub use rows_asked::asks_by_row;
pub use rows_writer::AnswerTemplate;
pub use values::{TensorsAnswer, ValueDocument};
