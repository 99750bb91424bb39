//! What can go wrong with a prediction, in terms that every transport can translate.

use crate::{
    model::{InputViolation, ModelName, NoRows, NotByRow, VersionSelector, Violations},
    runtime::RuntimeError,
    system::byte_budget::OverBudget,
};

/// An error of a prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServingError {
    /// The repository has no such model.
    #[error("there is no model `{0}`")]
    ModelNotFound(ModelName),
    /// The model serves, but not in this version.
    #[error("version {version} of model `{model}` is not in service")]
    VersionNotFound {
        /// The model.
        model: ModelName,
        /// The version that was asked for.
        version: VersionSelector,
    },
    /// The request names no model, and which one it means cannot be told.
    #[error("no model is the default one: name a model, as in /models/NAME/predict, or set models.default")]
    NoDefaultModel,
    /// The repository has not been looked at yet.
    #[error("the models are being loaded")]
    Starting,
    /// The model lies in the repository but is not in service (yet).
    #[error("model `{0}` is not in service")]
    ModelUnavailable(ModelName),
    /// The rows are not what the model takes.
    #[error("the rows are not what the model takes")]
    InvalidRows(Violations),
    /// The tensors are not what the model takes.
    #[error("the inputs are not what the model takes")]
    InvalidInputs(Violations<InputViolation>),
    /// Rows were sent to a model that takes none.
    #[error("{}: {}", .0, .0.advice())]
    RowsNotSupported(#[from] NoRows),
    /// Too many predictions wait.
    #[error("the model has more predictions to make than it can")]
    Overloaded,
    /// The memory that requests may take is taken.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// Its deadline passed before its turn came.
    #[error("the answer took longer than the request may take")]
    TooLate,
    /// The model answered NaN or infinity, as it was asked with them.
    #[error("the inputs hold NaN or infinity, and output `{0}` that follows from them does too")]
    NonFiniteInput(String),
    /// The model answered NaN or infinity.
    #[error("the model answered output `{0}` with NaN or infinity")]
    NonFiniteOutput(String),
    /// The model cannot answer these inputs, though they are what it declares to take.
    #[error("the model refuses these inputs: {reason}")]
    InputsRefused {
        /// Why, as ONNX Runtime says, without paths.
        reason: String,
        /// The input, if the model has only one.
        input: Option<String>,
        /// All that ONNX Runtime says of it, for the log.
        cause: String,
    },
    /// The model failed or answered something that makes no sense.
    #[error("the model failed")]
    ModelFailed(String),
}

impl From<RuntimeError> for ServingError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Overloaded => Self::Overloaded,
            RuntimeError::TooLate => Self::TooLate,
            RuntimeError::Refused { reason, cause } => Self::InputsRefused { reason, input: None, cause },
            other => Self::ModelFailed(other.to_string()),
        }
    }
}

impl From<NotByRow> for ServingError {
    fn from(error: NotByRow) -> Self {
        Self::ModelFailed(error.to_string())
    }
}
