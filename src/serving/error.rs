//! Errors of a prediction, in terms that every protocol can translate.

use crate::{
    limits::OverLimit,
    model::{InputViolation, ModelName, NoRows, NotByRow, VersionSelector, Violations},
    runtime::RuntimeError,
    system::byte_budget::OverBudget,
};

/// An error of a prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServingError {
    /// The repository has no such model.
    #[error("there is no model `{model}`{}", meant(.nearest.as_ref()))]
    ModelNotFound {
        /// The requested model.
        model: ModelName,
        /// The model of the most similar name; `None` if none is similar, or the caller may not learn which models exist.
        nearest: Option<ModelName>,
    },
    /// The model serves, but not in this version.
    #[error("version {version} of model `{model}` is not in service")]
    VersionNotFound {
        /// The model.
        model: ModelName,
        /// The requested version.
        version: VersionSelector,
    },
    /// The request names no model, and none is the default. The models that the caller may name follow.
    #[error("there is no default model: {}", named(.0))]
    NoDefaultModel(Vec<ModelName>),
    /// The repository has not been scanned yet.
    #[error("the models are being loaded")]
    Starting,
    /// The model lies in the repository but is not in service (yet).
    #[error("model `{0}` is not in service")]
    ModelUnavailable(ModelName),
    /// The rows do not match the model's inputs.
    #[error("the rows do not match the model")]
    InvalidRows(Violations),
    /// The tensors do not match the model's inputs.
    #[error("the inputs do not match the model")]
    InvalidInputs(Violations<InputViolation>),
    /// Rows were sent to a model that takes none.
    #[error("{}: {}", .0, .0.advice())]
    RowsNotSupported(#[from] NoRows),
    /// The queue of the model is full.
    #[error("the model is overloaded: its queue is full, or longer than the request may wait")]
    Overloaded,
    /// A quota of the caller or of the model is too small for the rows.
    #[error(transparent)]
    OverLimit(Box<OverLimit>),
    /// The memory budget for requests is used up.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The deadline passed before the run.
    #[error("the request's deadline passed")]
    TooLate,
    /// The outputs hold NaN or infinity, as do the inputs.
    #[error("the inputs hold NaN or infinity, and output `{0}` that follows from them does too")]
    NonFiniteInput(String),
    /// The outputs hold NaN or infinity, the inputs do not.
    #[error("for these values the model returns NaN or infinity in output `{0}`: send others")]
    NonFiniteOutput(String),
    /// The model fails on these inputs, though they match its signature.
    #[error("the model refuses these inputs: {reason}")]
    InputsRefused {
        /// The message of ONNX Runtime, without paths.
        reason: String,
        /// The input, if the model has only one.
        input: Option<String>,
        /// The full message of ONNX Runtime, for the log.
        cause: String,
    },
    /// The model failed, or its outputs make no sense.
    #[error("the model failed")]
    ModelFailed(String),
    /// The gateway broke a rule of its own: the model is not at fault.
    #[error("the gateway failed; the log says why")]
    Internal(&'static str),
}

/// Most models that a sentence lists.
const MAX_NAMED: usize = 10;

fn meant(nearest: Option<&ModelName>) -> String {
    nearest.map(|nearest| format!(": did you mean `{nearest}`?")).unwrap_or_default()
}

/// Says which models a request could name.
fn named(models: &[ModelName]) -> String {
    let Some(first) = models.first() else {
        return "name a model, as in /models/NAME/predict, or set models.default".to_owned();
    };
    let listed: Vec<&str> = models.iter().take(MAX_NAMED).map(ModelName::as_str).collect();
    let more = models.len() - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "name one, as in /models/{first}/predict, or set models.default; in service are {}{more}",
        listed.join(", ")
    )
}

impl From<OverLimit> for ServingError {
    fn from(refused: OverLimit) -> Self {
        Self::OverLimit(Box::new(refused))
    }
}

impl From<RuntimeError> for ServingError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Overloaded => Self::Overloaded,
            RuntimeError::TooLate => Self::TooLate,
            RuntimeError::Refused { reason, cause } => Self::InputsRefused { reason, input: None, cause },
            RuntimeError::Internal(cause) => Self::Internal(cause),
            other => Self::ModelFailed(other.to_string()),
        }
    }
}

impl From<NotByRow> for ServingError {
    fn from(error: NotByRow) -> Self {
        Self::ModelFailed(error.to_string())
    }
}
