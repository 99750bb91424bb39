//! Codecs that protocols share: JSON text straight into tensors, tensors as bytes, and errors with their place.

pub(crate) mod body;
mod body_outline;
mod csv_field;
pub(crate) mod cursor;
pub(crate) mod elements;
mod example;
pub(crate) mod field_error;
pub(crate) mod json_element;
pub(crate) mod json_schema;
mod list_of_rows;
mod model;
mod rows_requested;
pub mod tensor_bytes;
pub(crate) mod values;
pub(crate) mod whole;

pub use body::{BodyError, other_encoding, parse, parse_valid, without_mark};
pub(crate) use csv_field::csv_cell;
pub use example::{infer_example, row_example, tensors_example};
pub use field_error::{FieldError, RowBase, input_errors, input_pointer, row_errors};
pub(crate) use list_of_rows::ListOfRows;
pub use model::Model;
pub use rows_requested::asks_by_row;
pub use values::{TensorsResponse, ValueDocument};
