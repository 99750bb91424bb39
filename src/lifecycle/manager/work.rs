//! The threads that do for a candidate what takes long: hash it, copy it, prove it. So many run at a time; one that
//! never ends holds up nobody else's model.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::Sender},
    thread,
    time::Instant,
};

use serde_json::Value;

use super::Message;
use crate::{
    config::AdmissionSettings,
    lifecycle::{
        Candidate, Proof, Prover, Reason, Refusal, Snapshot, Store, digest_of, model_config::Pin,
        source::fingerprint,
    },
    model::Digest,
};

/// So many candidates are hashed, copied or proven at a time.
const MAX_RUNNING: usize = 4;

/// Something to do for a candidate.
pub(super) enum Work {
    /// Find out what is in it now.
    Hash,
    /// Make a copy, which must have the hash it had before.
    Copy { contract: Option<Value>, pin: Pin, hash: Option<Digest> },
    /// Prove its copy.
    Prove { snapshot: Arc<Snapshot> },
}

/// What came of it.
pub(in crate::lifecycle) struct Done {
    /// The candidate as it was when the work was given out.
    pub(super) candidate: Candidate,
    pub(super) result: WorkResult,
    pub(super) duration_ms: u64,
}

pub(super) enum WorkResult {
    Hashed(Result<Digest, Refusal>),
    /// Nothing if it changed meanwhile.
    Copied(Result<Option<Arc<Snapshot>>, Refusal>),
    Proven(Arc<Snapshot>, Result<Box<Proof>, Refusal>),
}

/// Gives work to threads, and the rest of it when they are done.
pub(super) struct Workers {
    store: Arc<Store>,
    prover: Prover,
    messages: Sender<Message>,
    running: usize,
    waiting: VecDeque<(Candidate, Work)>,
}

impl Workers {
    pub(super) fn new(store: Arc<Store>, prover: Prover, messages: Sender<Message>) -> Self {
        Self { store, prover, messages, running: 0, waiting: VecDeque::new() }
    }

    pub(super) fn change_settings(&mut self, settings: &AdmissionSettings) {
        self.prover.settings = settings.clone();
    }

    /// Does the work as soon as a thread may be had; a [`Message::Done`] tells when.
    pub(super) fn give(&mut self, candidate: Candidate, work: Work) {
        // What is copied is close to serving; what is not has waited in the repository for as long.
        match work {
            Work::Prove { .. } => self.waiting.push_front((candidate, work)),
            Work::Hash | Work::Copy { .. } => self.waiting.push_back((candidate, work)),
        }
        self.start_waiting();
    }

    /// To be called for every [`Message::Done`].
    pub(super) fn one_is_done(&mut self) {
        self.running -= 1;
        self.start_waiting();
    }

    fn start_waiting(&mut self) {
        while self.running < MAX_RUNNING {
            let Some((candidate, work)) = self.waiting.pop_front() else { return };
            self.running += 1;
            let (store, prover) = (Arc::clone(&self.store), self.prover.clone());
            let messages = self.messages.clone();
            let stuck = Done { result: failed(&work), candidate: candidate.clone(), duration_ms: 0 };
            let run = move || {
                let start = Instant::now();
                let result = carry_out(&store, &prover, &candidate, work);
                let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                // Nobody is there to be told when the gateway has stopped.
                let _ = messages.send(Message::Done(Box::new(Done { candidate, result, duration_ms })));
            };
            // Whoever waits for the child has to be the one who started it, so this takes a thread for each.
            let thread = thread::Builder::new().name("admission".to_owned());
            if let Err(error) = thread.spawn(run) {
                tracing::error!(%error, "no thread can be had for a candidate");
                let _ = self.messages.send(Message::Done(Box::new(stuck)));
            }
        }
    }
}

fn carry_out(store: &Store, prover: &Prover, candidate: &Candidate, work: Work) -> WorkResult {
    let otherwise = failed(&work);
    let done = catch_unwind(AssertUnwindSafe(|| match work {
        Work::Hash => WorkResult::Hashed(digest_of(candidate)),
        Work::Copy { contract, pin, hash } => {
            WorkResult::Copied(copy(store, candidate, contract.as_ref(), &pin, hash))
        }
        Work::Prove { snapshot } => {
            let proven = prover.prove(&snapshot).and_then(|proof| {
                // Here and not where requests are waited for: it takes seconds for a large model.
                snapshot.sync().map_err(|error| {
                    Refusal::new(Reason::Unreadable, format!("the copy cannot be kept: {error}"))
                })?;
                Ok(Box::new(proof))
            });
            WorkResult::Proven(snapshot, proven)
        }
    }));
    done.unwrap_or(otherwise)
}

/// What is said of work that could not be done for a reason that has nothing to do with the candidate.
fn failed(work: &Work) -> WorkResult {
    let refusal = Refusal::new(Reason::ProofFailed, "the gateway could not try it; the log says why");
    match work {
        Work::Hash => WorkResult::Hashed(Err(refusal)),
        Work::Copy { .. } => WorkResult::Copied(Err(refusal)),
        Work::Prove { snapshot } => WorkResult::Proven(Arc::clone(snapshot), Err(refusal)),
    }
}

/// A copy of what was hashed before, or nothing if the file changed since or while it was copied.
fn copy(
    store: &Store,
    candidate: &Candidate,
    contract: Option<&Value>,
    pin: &Pin,
    hash: Option<Digest>,
) -> Result<Option<Arc<Snapshot>>, Refusal> {
    let taken = store.take(candidate, contract, pin);
    if fingerprint(&candidate.file, &candidate.external) != candidate.fingerprint {
        return Ok(None);
    }
    let snapshot = taken?;
    Ok(hash.is_none_or(|hash| hash == snapshot.digest()).then_some(snapshot))
}
