//! Models, independent of how they are run: names, signature, contract, tensors, rows.

mod buffer;
mod compatibility;
mod contract;
mod digest;
mod division;
mod element;
mod element_type;
mod file_error;
mod foreign;
mod graph;
mod input_check;
mod json_text;
mod layout;
mod name;
mod nearest;
mod onnx_file;
mod output_form;
mod protobuf;
mod row;
mod schedule;
mod signature;
mod tensor;
mod tensor_document;
mod value;
mod violation;

pub use buffer::Buffer;
pub use compatibility::{Change, Interface};
pub use contract::{
    CONTRACT_KEY, Contract, ContractDocument, ContractError, Feature, GoldenCase, GoldenDocument, Missing,
    NonFiniteOutputs,
};
pub use digest::{Digest, Hasher};
pub use division::check_dividends;
pub use element::{non_finite, non_finite_text, objection as element_objection};
pub use element_type::ElementType;
pub(crate) use element_type::element_types;
pub use file_error::OnnxFileError;
pub use graph::{
    Attribute, AttributeValue, ColumnFacts, Constant, Elements, Graph, GraphFacts, KnownColumns, Labels,
    Node, RowDependence,
};
pub use input_check::{InputViolation, check_inputs, documents_to_tensors};
pub(crate) use json_text::{Token, Tokens, number, unquoted};
pub use layout::{ColumnInput, Layout, LayoutError, Output, RowInputs};
pub use name::{ModelName, ModelVersion, NameError, VersionLabel, VersionSelector};
pub(crate) use nearest::{meant_key, nearest};
pub use onnx_file::OnnxFile;
pub use output_form::{Constants, NoRows, OutputForm, OutputForms, WholeOutput};
pub(crate) use row::OUT_OF_RANGE;
pub use row::{
    Cell, FlatElement, FlatLayout, Location, NotByRow, Row, RowOutputs, RowValue, Rows, RowsReader,
    Violation, rows_to_tensors,
};
pub use schedule::{Schedule, ScheduleMode, WantedMode};
pub use signature::{Dimension, Signature, ValueKind, ValueSpec};
pub(crate) use tensor::on_elements;
pub use tensor::{Scalar, Tensor, TensorData, TensorError};
pub use tensor_document::{TensorDocument, TensorDocuments};
pub use value::Value;
pub use violation::{MAX_LISTED, Violations};
