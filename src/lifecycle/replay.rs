//! Asking a deployment that served before for what the one on trial did not answer, off the request path.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use super::{Proof, Refusal, Snapshot, trial::Sample};
use crate::{
    lifecycle::Reason,
    model::{RowOutputs, Tensor, check_dividends, check_inputs},
    runtime::{Inputs, Instance, RunOptions, Runtime},
};

/// A deployment that is asked.
pub(super) struct Replay {
    pub(super) runtime: Runtime,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) proof: Proof,
    /// Ends the run in progress from another thread.
    pub(super) options: Arc<RunOptions>,
    /// Nothing is run after this.
    pub(super) deadline: Instant,
}

impl Replay {
    /// Loads the deployment, asks it for each sample, and drops it. True for each that it answers, `None` for those that it
    /// was not asked for in time.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded.
    pub(super) fn run(&self, samples: &[(usize, Sample)]) -> Result<Vec<Option<bool>>, Refusal> {
        catch_unwind(AssertUnwindSafe(|| self.ask_all(samples)))
            .unwrap_or_else(|_| Err(Refusal::new(Reason::ProofFailed, "the comparison panicked")))
    }

    fn ask_all(&self, samples: &[(usize, Sample)]) -> Result<Vec<Option<bool>>, Refusal> {
        self.snapshot
            .verify()
            .map_err(|error| Refusal::new(Reason::Unreadable, format!("its copy: {error}")))?;
        let mut instance = Instance::load(self.runtime, &self.snapshot.file_to_load(self.proof.converted))?;
        if *instance.signature() != self.proof.signature {
            return Err(Refusal::new(Reason::ProofFailed, "the model is not what its proof says it is"));
        }
        Ok(samples.iter().map(|(_, sample)| self.ask(&mut instance, sample)).collect())
    }

    /// True if it answers, `None` if that could not be found out in time.
    fn ask(&self, instance: &mut Instance, sample: &Sample) -> Option<bool> {
        if self.is_late() {
            return None;
        }
        let is_answered = self.answers(instance, sample);
        // A run that was ended says nothing.
        (is_answered || !self.is_late()).then_some(is_answered)
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Returns true if the inputs are what it takes, and its answer is what its contract asks.
    fn answers(&self, instance: &mut Instance, sample: &Sample) -> bool {
        let Proof { signature, contract, divides, .. } = &self.proof;
        let inputs = match (&sample.inputs, signature.inputs.as_slice()) {
            (Inputs::Named(named), _) => named.clone(),
            (Inputs::Only(tensor), [only]) => vec![(only.name.clone(), tensor.clone())],
            (Inputs::Only(_), _) => return false,
        };
        if check_inputs(signature, &inputs).is_err() || (*divides && check_dividends(&inputs).is_err()) {
            return false;
        }
        let named: Vec<(&str, &Tensor)> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let Ok(outputs) = instance.run(&named, &self.options) else { return false };
        let is_finite = contract.allows_non_finite() || outputs.iter().all(|output| output.is_finite());
        let is_by_row = !sample.by_rows
            || signature.rows(&inputs).is_some_and(|rows| {
                self.proof.takes_rows() && RowOutputs::new(rows, outputs, signature).is_ok()
            });
        is_finite && is_by_row
    }
}
