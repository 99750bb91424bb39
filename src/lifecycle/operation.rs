//! Operations that operators request from the manager, and their results.

use tokio::sync::oneshot;

use super::Refusal;
use crate::model::{Digest, ModelName, ModelVersion};

/// The channel for the result of a load.
pub(super) type LoadReply = oneshot::Sender<Result<(), OperationError>>;

/// An operation that an operator requests.
#[derive(Debug)]
pub(super) enum Operation {
    /// Tries the files in the repository, even if they were refused before.
    Load { allow_breaking_changes: bool, reply: LoadReply },
    /// Takes the model out of service until a load is requested.
    Unload { reply: oneshot::Sender<Result<(), OperationError>> },
    /// Puts the previous deployment into service again.
    Rollback { reply: oneshot::Sender<Result<RolledBack, OperationError>> },
}

/// The version that serves after a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// The number of the version.
    pub version: ModelVersion,
    /// The digest of its file.
    pub digest: Digest,
    /// The digest of the file that was rolled back, if one served.
    pub replaces: Option<Digest>,
}

/// Reasons why an operation was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The repository has no such model.
    #[error("there is no model `{0}`")]
    ModelNotFound(ModelName),
    /// There is no previous deployment, or its copy is gone.
    #[error("model `{0}` has no earlier deployment to roll back to")]
    NothingBefore(ModelName),
    /// Another request unloaded it while it was being loaded.
    #[error("model `{0}` was unloaded meanwhile")]
    Unloaded(ModelName),
    /// The model may not serve.
    #[error("{0}")]
    Refused(Refusal),
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopping,
}
