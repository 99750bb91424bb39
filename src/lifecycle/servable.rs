//! A loaded version. A request keeps it, with everything that it needs, until it is done.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;

use super::{Deployment, FailureMonitor, OutputSize, Proof, SchedulerConfig, Snapshot, Statistics};
use crate::{
    auth::OfModel,
    model::{
        Constants, Contract, Digest, FlatLayout, Layout, ModelName, ModelVersion, NoRows, Schedule,
        Signature, Value,
    },
    runtime::Scheduler,
    telemetry::Seconds,
};

/// Writes the response of one version to rows, in the form of the protocol that takes them.
pub trait RowsWriter: fmt::Debug + Send + Sync {
    /// Returns true if there are such rows, and each output holds what it has to; [`RowsWriter::write`] then writes.
    fn can_write(&self, outputs: &[Value], rows: &Range<usize>, total: usize) -> bool;

    /// Appends to `out` the response to some rows of a run on `total` rows: the list of them if `many`, else the first.
    /// Returns true if it was written. Writes nothing and returns false if it cannot.
    fn write(
        &self,
        out: &mut Vec<u8>,
        outputs: &[Value],
        rows: Range<usize>,
        total: usize,
        many: bool,
    ) -> bool;
}

/// The parts of a version that its responses depend on.
#[derive(Clone, Copy, Debug)]
pub struct ResponseParts<'v> {
    /// The model.
    pub name: &'v str,
    /// The version.
    pub version: ModelVersion,
    /// The signature.
    pub signature: &'v Signature,
    /// The author's contract.
    pub contract: &'v Contract,
    /// The layout of rows.
    pub layout: &'v Layout,
}

/// Prepares the writer of a version's responses when the version is loaded.
pub type PrepareRows = fn(ResponseParts<'_>) -> Box<dyn RowsWriter>;

/// Identification of the version in responses.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The version number.
    pub version: Bytes,
    /// The short digest of its files.
    pub digest: Bytes,
}

/// An admitted version of a model.
#[derive(Debug)]
pub struct Servable {
    /// The model.
    pub name: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// The signature, with the output shapes that the proof observed.
    pub signature: Signature,
    /// Outputs that are the same for all rows.
    pub constants: Constants,
    /// The author's contract.
    pub contract: Contract,
    /// The layout of rows. `None` if the model does not take rows.
    pub layout: Option<Arc<Layout>>,
    /// Sessions and the queue of requests.
    pub scheduler: Scheduler,
    /// Mode and limits of the scheduler.
    pub schedule: Schedule,
    /// Identification in responses.
    pub stamp: Stamp,
    /// Layout of rows of numbers, which go straight into a tensor. `None` if the model takes other rows, or none.
    pub flat: Option<FlatLayout>,
    /// Writer of responses to rows. `None` if the model does not take rows.
    pub rows_writer: Option<Box<dyn RowsWriter>>,
    /// Memory of the outputs.
    pub output_size: OutputSize,
    /// Metric of run durations.
    pub inference_seconds: Seconds,
    /// Success and failure of responses since it was loaded.
    pub monitor: Arc<FailureMonitor>,
    /// Statistics of responses.
    pub statistics: Arc<Statistics>,
    /// The proof.
    pub proof: Proof,
    /// The scheduler configuration that `schedule` was derived from.
    pub(super) scheduled_by: SchedulerConfig,
    /// The copy that the sessions were loaded from.
    pub(super) snapshot: Arc<Snapshot>,
}

impl OfModel for Servable {
    fn model(&self) -> &ModelName {
        &self.name
    }
}

impl Servable {
    /// Returns the digest in responses: of the model's file and its data files.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.snapshot.digest()
    }

    /// Returns the identity of everything that outputs depend on.
    #[must_use]
    pub fn content(&self) -> Digest {
        self.snapshot.content()
    }

    /// Returns the layout of rows.
    ///
    /// # Errors
    ///
    /// The reason why the model does not take rows.
    pub fn layout_of_rows(&self) -> Result<&Arc<Layout>, NoRows> {
        self.layout.as_ref().ok_or_else(|| self.proof.against_rows().unwrap_or(NoRows::Inputs))
    }

    /// Returns the writer of responses to rows.
    ///
    /// # Errors
    ///
    /// The reason why the model does not take rows.
    pub fn rows_writer(&self) -> Result<&dyn RowsWriter, NoRows> {
        self.rows_writer.as_deref().ok_or_else(|| self.proof.against_rows().unwrap_or(NoRows::Inputs))
    }

    /// Returns the record that survives a restart.
    pub(super) fn deployment(&self) -> Deployment {
        Deployment {
            version: self.version,
            content: self.content(),
            digest: self.digest(),
            proof: self.proof.clone(),
        }
    }
}
