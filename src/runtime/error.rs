//! Errors of loading and running models.

use super::LibraryNotFound;

/// An error of ONNX Runtime or of the scheduler around it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The shared library was not found.
    #[error(transparent)]
    LibraryNotFound(#[from] LibraryNotFound),
    /// The shared library cannot be used.
    #[error("ONNX Runtime cannot be loaded: {0}")]
    Library(String),
    /// The file is not a model that ONNX Runtime can run.
    #[error("ONNX Runtime cannot load the model: {0}")]
    Load(String),
    /// The model uses something that the gateway cannot feed or read.
    #[error("the model cannot be served: {0}")]
    Unsupported(String),
    /// The model failed.
    #[error("the model failed: {0}")]
    Run(String),
    /// The model rejects these inputs, and would again.
    #[error("the model refuses these inputs: {cause}")]
    Refused {
        /// The sentence for the caller: short, without paths.
        reason: String,
        /// The full message of ONNX Runtime.
        cause: String,
    },
    /// `ort` panicked; the session is still good.
    #[error("the run panicked: {0}")]
    Panicked(String),
    /// The queue of the model is full.
    #[error("the queue of the model is full")]
    Overloaded,
    /// The deadline passed before the request was run.
    #[error("the deadline passed while it waited")]
    TooLate,
    /// The gateway broke a rule of its own: the model is not at fault.
    #[error("internal error: {0}")]
    Internal(&'static str),
}
