//! What operators ask of the manager, and what it answers.

use tokio::sync::oneshot;

use super::Refusal;
use crate::model::{Digest, ModelName, ModelVersion};

/// Tells whoever asked for a load how it ended.
pub(super) type LoadReply = oneshot::Sender<Result<(), OperationError>>;

/// Something that an operator asks for.
#[derive(Debug)]
pub(super) enum Operation {
    /// Try what lies in the repository, whatever was refused before.
    Load { allow_breaking_changes: bool, reply: LoadReply },
    /// Take the model out of service until it is asked for again.
    Unload { reply: oneshot::Sender<Result<(), OperationError>> },
    /// Put what served before into service again.
    Rollback { reply: oneshot::Sender<Result<RolledBack, OperationError>> },
}

/// What serves after a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Its number.
    pub version: ModelVersion,
    /// Of its file.
    pub digest: Digest,
    /// Of the file that was taken back, if one served.
    pub replaces: Option<Digest>,
}

/// Why an operation was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The repository has no such model.
    #[error("there is no model `{0}`")]
    ModelNotFound(ModelName),
    /// Nothing served before, or its copy is gone.
    #[error("model `{0}` has no earlier deployment to go back to")]
    NothingBefore(ModelName),
    /// It was unloaded by another request while it was being loaded.
    #[error("model `{0}` was unloaded meanwhile")]
    Unloaded(ModelName),
    /// It may not serve.
    #[error("{0}")]
    Refused(Refusal),
    /// The gateway is about to stop.
    #[error("the gateway is about to stop")]
    Stopping,
}
