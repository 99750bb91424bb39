//! A loaded version: everything that a request needs, pinned for as long as it needs it.

use std::sync::Arc;

use super::Snapshot;
use crate::{
    model::{Contract, Digest, Layout, ModelName, ModelVersion, Signature},
    runtime::InstancePool,
};

/// A version of a model that was admitted.
#[derive(Debug)]
pub struct Servable {
    /// The model.
    pub name: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// What it takes and gives.
    pub signature: Signature,
    /// What its author knows of it.
    pub contract: Contract,
    /// How rows fit it, if it takes rows.
    pub layout: Option<Layout>,
    /// Its sessions.
    pub pool: Arc<InstancePool>,
    /// The copy that the sessions were made of.
    pub(super) snapshot: Snapshot,
}

impl Servable {
    /// The digest of the file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.snapshot.digest()
    }
}
