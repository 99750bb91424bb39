//! Instances of a proven copy, and what its rows look like.

use super::{Proof, Reason, Refusal, Snapshot, admission::child::contract_of};
use crate::{
    model::{Contract, Layout, Schedule},
    runtime::{Instance, Runtime, SessionOptions},
};

/// A copy that was loaded.
#[derive(Debug)]
pub struct LoadedCopy {
    /// The instances; at least one.
    pub instances: Vec<Instance>,
    /// The author's contract.
    pub contract: Contract,
    /// The layout of rows. `None` if the model does not take rows.
    pub layout: Option<Layout>,
}

impl LoadedCopy {
    /// Loads as many instances as the schedule has, of one session or with a session each.
    ///
    /// # Errors
    ///
    /// If the copy cannot be loaded, or is not what was proven.
    pub fn load(
        runtime: Runtime,
        snapshot: &Snapshot,
        proof: &Proof,
        schedule: &Schedule,
    ) -> Result<Self, Refusal> {
        let file = snapshot.file_to_load(proof.converted);
        let session = SessionOptions::from(schedule);
        let load = || Instance::load(runtime, &file, &session);
        let first = load()?;
        let signature = first.signature().clone();
        // A compromised child could have reported anything about the model.
        let is_proven = signature == *proof.declared()
            && signature.is_alike_but_for_output_shapes(&proof.signature)
            && proof.output_forms.fit(signature.outputs.len());
        if !is_proven {
            let detail = "the model differs from its proof";
            return Err(Refusal::new(Reason::ProofFailed, detail));
        }
        let contract = contract_of(&first, snapshot.contract(), proof.contract.graph.clone())?;
        let layout = proof
            .layout_by(&contract)
            .map_err(|error| Refusal::new(Reason::InvalidContract, error.to_string()))?;
        let next = || if schedule.shares_session { first.another() } else { load() };
        let more = (1..schedule.instances).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
        let instances = std::iter::once(first).chain(more).collect();
        Ok(Self { instances, contract, layout })
    }
}
