//! Batch scoring: rows of a file in, the model's predictions out, in the same order.
//!
//! One thread reads blocks of rows, several parse, run and format them, and one writes them in order. A fixed number
//! of blocks is in memory, however large the file is. Rows that cannot be scored go to a file of their own.

mod block;
mod column;
mod csv;
mod delimited;
mod encode;
mod error;
mod file_columns;
mod format;
mod gateway;
mod http;
mod json_lines;
mod local;
mod output_file;
mod outputs;
mod pipeline;
mod row_error;
mod row_model;
mod scorer;
mod stored;
mod stored_file;
mod text_reader;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

pub use error::ScoringError;
pub use file_columns::Selection;
pub use format::Format;
pub use gateway::{Gateway, GatewayOptions, Token};
pub use local::LocalModel;
pub use pipeline::{Progress, Summary, score};

/// Rows of a block, and of a run if the model takes several at once.
pub const BLOCK_ROWS: usize = 1024;

/// A file, or a standard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input or output.
    Standard,
    /// A file.
    File(PathBuf),
}

/// An input or output with its format.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The place of the rows.
    pub stream: Stream,
    /// The format of the rows.
    pub format: Format,
}

/// The files of a scoring and the treatment of their columns.
#[derive(Clone, Debug)]
pub struct Job {
    /// The rows.
    pub input: Endpoint,
    /// The predictions.
    pub output: Endpoint,
    /// The rows that were not scored.
    pub rejected: PathBuf,
    /// The columns that go into the model, and those that go into the output.
    pub selection: Selection,
    /// The form of CSV files.
    pub csv: CsvForm,
    /// Becomes true when the scoring is to end early.
    pub interrupted: Arc<AtomicBool>,
}

/// The form of CSV files.
#[derive(Clone, Copy, Debug)]
pub struct CsvForm {
    /// The byte between fields.
    pub delimiter: u8,
    /// True if the first record names the columns.
    pub has_header: bool,
}

/// The model that scores.
#[derive(Debug)]
pub enum Target {
    /// A model in this process.
    Local(Box<LocalModel>),
    /// A model of a running gateway.
    Gateway(Gateway),
}
