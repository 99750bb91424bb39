//! What a model is, without saying how it is run: names, signature, contract, tensors, rows.

mod contract;
mod digest;
mod layout;
mod name;
mod onnx_file;
mod row;
mod signature;
mod tensor;

pub use contract::{CONTRACT_KEY, Contract, ContractError, Feature, GoldenCase};
pub use digest::Digest;
pub use layout::{Layout, LayoutError, Output};
pub use name::{ModelName, ModelVersion, NameError};
pub use onnx_file::{OnnxFile, OnnxFileError};
pub use row::{Cell, MAX_LISTED, Place, Row, Violation, Violations, rows_to_tensor};
pub use signature::{Dimension, Signature, TensorSpec};
pub use tensor::{ElementType, Scalar, Tensor, TensorData, TensorError};
