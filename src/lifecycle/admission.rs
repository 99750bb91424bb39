//! Proving a candidate before it serves: it loads, it runs, it answers what it must.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    Reason, Refusal, Servable, Snapshot,
    proof::{Proven, prove_with},
};
use crate::{
    config::RuntimeSettings,
    model::{CONTRACT_KEY, Contract, ContractDocument, Layout, ModelName, ModelVersion},
    runtime::{Instance, InstancePool, RunOptions, Runtime},
};

/// Loads a snapshot and proves it; blocks for as long as loading and a few runs take.
///
/// `replaced` is the version in service under the same number, whose callers must not be broken.
///
/// # Errors
///
/// Why it may not serve.
pub fn admit(
    runtime: Runtime,
    settings: &RuntimeSettings,
    (name, version): (ModelName, ModelVersion),
    snapshot: Snapshot,
    replaced: Option<&Servable>,
) -> Result<Servable, Refusal> {
    let mut instance = Instance::load(runtime, snapshot.file())?;
    let signature = instance.signature().clone();
    let invalid = |message: String| Refusal::new(Reason::InvalidContract, message);
    let document = match instance.metadata(CONTRACT_KEY)? {
        Some(json) => ContractDocument::parse_json(&json),
        None => Ok(ContractDocument::default()),
    };
    let contract = document
        .and_then(|document| Contract::resolve(document, &signature))
        .map_err(|error| invalid(format!("{error} (it is in the model's metadata, key {CONTRACT_KEY})")))?;
    let layout = Layout::of(&signature, &contract).map_err(|error| invalid(error.to_string()))?;
    if let Some(replaced) = replaced {
        let mut changes = signature.breaking_changes(&replaced.signature);
        changes.extend(contract.breaking_changes(&replaced.contract));
        if !changes.is_empty() {
            let detail = format!("callers of the version in service would break: {}", changes.join("; "));
            return Err(Refusal::new(Reason::IncompatibleSignature, detail));
        }
    }
    prove_in_time(&mut instance, &contract)?;

    let size = if settings.instances == 0 { Runtime::cpus() } else { settings.instances };
    let more = (1..size).map(|_| Instance::load(runtime, snapshot.file()));
    let instances = std::iter::once(Ok(instance)).chain(more).collect::<Result<Vec<_>, _>>()?;
    let pool = Arc::new(InstancePool::new(instances, settings.queue_capacity));
    Ok(Servable { name, version, signature, contract, layout, pool, snapshot })
}

/// How long a proof may take: a candidate that loops for ever must not keep all others from being tried.
const PROOF_TIMEOUT: Duration = Duration::from_secs(10);

fn prove_in_time(instance: &mut Instance, contract: &Contract) -> Result<Proven, Refusal> {
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    let (finished, watched) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let options = &options;
        scope.spawn(move || {
            let ended = watched.recv_timeout(PROOF_TIMEOUT);
            // Telling it to end fails for no reason that waiting longer would mend.
            ended == Err(mpsc::RecvTimeoutError::Timeout) && options.terminate().is_ok()
        });
        let start = Instant::now();
        let proven = prove_with(instance, contract, options);
        drop(finished);
        if proven.is_err() && start.elapsed() >= PROOF_TIMEOUT {
            let detail = format!("its runs did not end within {} s", PROOF_TIMEOUT.as_secs());
            return Err(Refusal::new(Reason::TimedOut, detail));
        }
        proven
    })
}
