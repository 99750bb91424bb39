//! Reasons why a scoring ends without an output.

/// A scoring that failed. The output file is then as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ScoringError {
    /// The input cannot be read, or does not have the form that was named.
    #[error("{file}: {problem}")]
    Input {
        /// The input, as it was named.
        file: String,
        /// The fault and the remedy.
        problem: String,
    },
    /// The columns of the input do not fit the model: one line for each fault.
    #[error("{}", faults.join("\n"))]
    Columns {
        /// The faults.
        faults: Vec<String>,
    },
    /// An output cannot be written.
    #[error("{file} cannot be written: {cause}")]
    Output {
        /// The file, as it was named.
        file: String,
        /// The message of the operating system or of the format's writer.
        cause: String,
    },
    /// The model cannot be loaded or does not take rows.
    #[error("{0}")]
    Model(String),
    /// The gateway cannot be reached, or its response makes no sense.
    #[error("{0}")]
    Gateway(String),
    /// A signal ended the scoring.
    #[error("interrupted: no output was written")]
    Interrupted,
    /// A thread of the scoring panicked.
    #[error("a thread of the scoring panicked")]
    Panicked,
}

impl ScoringError {
    /// Creates the error of an input.
    pub(super) fn input(file: &str, problem: impl Into<String>) -> Self {
        Self::Input { file: file.to_owned(), problem: problem.into() }
    }

    /// Creates the error of an output.
    pub(super) fn output(file: &str, cause: impl Into<String>) -> Self {
        Self::Output { file: file.to_owned(), cause: cause.into() }
    }
}
