//! A loaded version: everything that a request needs, pinned for as long as it needs it.

use std::sync::Arc;

use bytes::Bytes;

use super::{Deployment, OutputSize, Proof, SchedulerConfig, Snapshot, Statistics, Trial};
use crate::{
    model::{
        Constants, Contract, Digest, FlatLayout, Layout, ModelName, ModelVersion, NoRows, Schedule, Signature,
    },
    runtime::Scheduler,
    telemetry::Seconds,
    wire::AnswerTemplate,
};

/// Reading rows of numbers straight into a tensor, and writing the answer straight from the outputs.
#[derive(Debug)]
pub struct Flat {
    /// How rows fit the model.
    pub layout: FlatLayout,
    /// How answers look.
    pub answers: AnswerTemplate,
}

/// How answers say which version they are of.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Its number.
    pub version: Bytes,
    /// The short digest of its files.
    pub digest: Bytes,
}

/// A version of a model that was admitted.
#[derive(Debug)]
pub struct Servable {
    /// The model.
    pub name: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// The signature, with the shapes of outputs that its proof saw.
    pub signature: Signature,
    /// Outputs that are the same for all rows.
    pub constants: Constants,
    /// What its author knows of it.
    pub contract: Contract,
    /// How rows fit it, if it takes rows.
    pub layout: Option<Arc<Layout>>,
    /// Its sessions, and who waits for them.
    pub scheduler: Scheduler,
    /// How they are used.
    pub schedule: Schedule,
    /// What its answers say of it.
    pub stamp: Stamp,
    /// What requests of the usual form need; nothing if the model takes none.
    pub flat: Option<Flat>,
    /// The memory that its outputs take.
    pub output_size: OutputSize,
    /// How long its runs take, as a metric.
    pub inference_seconds: Seconds,
    /// How it does.
    pub trial: Arc<Trial>,
    /// What it has answered so far.
    pub statistics: Arc<Statistics>,
    /// What was found out about it before.
    pub proof: Proof,
    /// What stood beside the model when that was decided.
    pub(super) scheduled_by: SchedulerConfig,
    /// The copy that the sessions were made of.
    pub(super) snapshot: Arc<Snapshot>,
}

impl Servable {
    /// The digest that answers show: of the model's file and its data files.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.snapshot.digest()
    }

    /// The identity of everything that its answers depend on.
    #[must_use]
    pub fn content(&self) -> Digest {
        self.snapshot.content()
    }

    /// The layout of rows.
    ///
    /// # Errors
    ///
    /// When it takes none, with the reason.
    pub fn layout_of_rows(&self) -> Result<&Arc<Layout>, NoRows> {
        self.layout.as_ref().ok_or_else(|| self.proof.against_rows().unwrap_or(NoRows::Inputs))
    }

    /// What is remembered of it.
    pub(super) fn deployment(&self) -> Deployment {
        Deployment {
            version: self.version,
            content: self.content(),
            digest: self.digest(),
            proof: self.proof.clone(),
        }
    }
}
