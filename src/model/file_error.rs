//! Errors of reading an ONNX file.

use std::io;

/// The reason for which a file is not an ONNX model.
#[derive(Debug, thiserror::Error)]
pub enum OnnxFileError {
    /// The file is cut short.
    #[error("the file ends too early: {0}")]
    Truncated(&'static str),
    /// The file has another format.
    #[error("the file is not an ONNX model: {0}")]
    NotOnnx(&'static str),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}
