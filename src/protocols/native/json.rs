//! Requests and responses of the native API as JSON.

mod flat_rows;
mod request;
mod response;
mod rows_writer;

pub use flat_rows::{FlatRows, read_flat_rows, read_numbers};
pub use request::{PredictRequest, PredictRequestDocument, RequestInputs};
pub use response::{PredictAnswer, RowAnswer};
pub use rows_writer::{ResponseTemplate, prepare_rows};
