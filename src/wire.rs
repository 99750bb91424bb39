//! The native JSON forms: what a request and its answer look like, whoever reads and writes them.

mod answer;
mod body;
mod field_error;
mod request;
mod values;

pub use answer::{PredictAnswer, RowAnswer, RowsAnswer};
pub use body::{BodyError, parse, parse_valid};
pub use field_error::{FieldError, RowBase, input_errors, row_errors};
pub use request::{Asked, PredictRequest};
pub use values::{TensorsAnswer, ValueDocument};
