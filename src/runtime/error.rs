//! What can go wrong between a model file and its answers.

use super::LibraryNotFound;

/// An error of ONNX Runtime or of the scheduler around it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// There is no shared library.
    #[error(transparent)]
    LibraryNotFound(#[from] LibraryNotFound),
    /// The shared library cannot be used.
    #[error("ONNX Runtime cannot be loaded: {0}")]
    Library(String),
    /// The file is no model that ONNX Runtime can run.
    #[error("ONNX Runtime cannot load the model: {0}")]
    Load(String),
    /// The model uses something that the gateway cannot feed or read.
    #[error("the model cannot be served: {0}")]
    Unsupported(String),
    /// The model failed.
    #[error("the model failed: {0}")]
    Run(String),
    /// The model cannot answer these inputs, and refuses them again.
    #[error("the model refuses these inputs: {cause}")]
    Refused {
        /// The sentence for the caller: short, without paths.
        reason: String,
        /// All that ONNX Runtime says of it.
        cause: String,
    },
    /// `ort` panicked; the session is still good.
    #[error("the run panicked: {0}")]
    Panicked(String),
    /// As many predictions wait as may.
    #[error("the queue of the model is full")]
    Overloaded,
    /// Its deadline passed before its turn came.
    #[error("the deadline passed while it waited")]
    TooLate,
}
