//! Worker threads that hash, copy and prove candidates. A slow candidate occupies one of `MAX_RUNNING` threads and does
//! not delay other models.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread,
    time::Instant,
};

use serde_json::Value;

use super::Message;
use crate::{
    lifecycle::{
        Candidate, CandidateFiles, LifecycleSettings, ModelSource, Proof, Prover, Reason, Refusal, Snapshot,
        Store, digest_of, model_config::Pin,
    },
    model::{Digest, ModelName, ModelVersion},
};

/// Most candidates that are hashed, copied or proven at a time.
const MAX_RUNNING: usize = 4;

/// A job for a version.
pub(super) enum Work {
    /// Hashes these files.
    Hash(Candidate),
    /// Copies these files, which must still have this hash.
    Copy { candidate: Candidate, contract: Option<Value>, pin: Pin, hash: Option<Digest> },
    /// Proves this copy, whatever has become of the files.
    Prove(Arc<Snapshot>),
}

/// The result of a job.
pub(in crate::lifecycle) struct Done {
    pub(super) model: ModelName,
    pub(super) version: ModelVersion,
    /// The number of the job.
    pub(super) number: u64,
    pub(super) result: WorkResult,
    pub(super) duration_ms: u64,
}

pub(super) enum WorkResult {
    /// `None` if the file changed meanwhile.
    Hashed(Result<Option<Digest>, Refusal>),
    /// `None` if the file changed meanwhile.
    Copied(Result<Option<Arc<Snapshot>>, Refusal>),
    Proven(Arc<Snapshot>, Result<Box<Proof>, Refusal>),
}

/// Queues jobs for threads, each of which runs until the queue is empty.
pub(super) struct Workers {
    shared: Arc<Shared>,
    given: u64,
}

/// State shared by the threads.
struct Shared {
    source: Arc<dyn ModelSource>,
    store: Arc<Store>,
    messages: Sender<Message>,
    queue: Mutex<Queue>,
}

struct Queue {
    prover: Prover,
    running: usize,
    waiting: VecDeque<Job>,
}

struct Job {
    model: ModelName,
    version: ModelVersion,
    number: u64,
    work: Work,
}

impl Workers {
    pub(super) fn new(
        source: Arc<dyn ModelSource>,
        store: Arc<Store>,
        prover: Prover,
        messages: Sender<Message>,
    ) -> Self {
        let queue = Mutex::new(Queue { prover, running: 0, waiting: VecDeque::new() });
        Self { shared: Arc::new(Shared { source, store, messages, queue }), given: 0 }
    }

    pub(super) fn change_settings(&mut self, settings: &LifecycleSettings) {
        let mut queue = self.shared.queue();
        queue.prover.settings = settings.admission.clone();
        queue.prover.memory_limit_bytes = settings.runtime.memory_limit_bytes;
    }

    /// Queues a job, and discards older jobs of the same version. Returns the number that the [`Message::Done`] of this
    /// job will carry.
    pub(super) fn give(&mut self, model: ModelName, version: ModelVersion, work: Work) -> u64 {
        self.given += 1;
        let number = self.given;
        let mut queue = self.shared.queue();
        queue.waiting.retain(|job| (&job.model, job.version) != (&model, version));
        let job = Job { model, version, number, work };
        // A copied candidate is close to serving, so its proof comes first.
        match job.work {
            Work::Prove(_) => queue.waiting.push_front(job),
            Work::Hash(_) | Work::Copy { .. } => queue.waiting.push_back(job),
        }
        if queue.running < MAX_RUNNING {
            queue.running += 1;
            drop(queue);
            self.start_thread();
        }
        number
    }

    /// Starts a worker. Only the thread that started a child may wait for it, so proofs cannot run on the manager's
    /// thread.
    fn start_thread(&self) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("admission".to_owned());
        if let Err(error) = thread.spawn(move || shared.work()) {
            tracing::error!(%error, "failed to start a thread for a candidate");
            let mut queue = self.shared.queue();
            queue.running -= 1;
            // Another running thread will still take the jobs.
            let stuck = if queue.running == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
            drop(queue);
            for Job { model, version, number, work } in stuck {
                let result = failed(&work);
                self.shared.send(Done { model, version, number, result, duration_ms: 0 });
            }
        }
    }
}

impl Shared {
    /// Runs jobs until the queue is empty.
    fn work(&self) {
        while let Some((Job { model, version, number, work }, prover)) = self.next() {
            let start = Instant::now();
            let result = self.carry_out(&prover, work);
            let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.send(Done { model, version, number, result, duration_ms });
        }
    }

    /// Takes the next job, with the current prover. `None` ends the thread.
    fn next(&self) -> Option<(Job, Prover)> {
        let mut queue = self.queue();
        let Some(job) = queue.waiting.pop_front() else {
            queue.running -= 1;
            return None;
        };
        Some((job, queue.prover.clone()))
    }

    fn send(&self, done: Done) {
        // The manager is gone only while the gateway shuts down.
        let _ = self.messages.send(Message::Done(Box::new(done)));
    }

    /// Locks the queue, poisoned or not: it is consistent at every point where a panic could leave it, and locked only
    /// briefly.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a job. A panic fails that job only.
    fn carry_out(&self, prover: &Prover, work: Work) -> WorkResult {
        let otherwise = failed(&work);
        let done = catch_unwind(AssertUnwindSafe(|| match work {
            Work::Hash(candidate) => WorkResult::Hashed(self.hash(&candidate)),
            Work::Copy { candidate, contract, pin, hash } => {
                WorkResult::Copied(self.copy(&candidate, contract.as_ref(), &pin, hash))
            }
            Work::Prove(snapshot) => {
                let proven = prove(prover, &snapshot);
                WorkResult::Proven(snapshot, proven)
            }
        }));
        done.unwrap_or(otherwise)
    }

    /// Hashes a candidate's model file. `None` if its files changed since the scan.
    fn hash(&self, candidate: &Candidate) -> Result<Option<Digest>, Refusal> {
        let files = CandidateFiles::new(self.source.as_ref(), candidate);
        if files.have_changed() {
            return Ok(None);
        }
        self.store.check_room(files)?;
        digest_of(files).map(Some)
    }

    /// Copies files with the hash seen before. `None` if they changed since, or while they were copied.
    fn copy(
        &self,
        candidate: &Candidate,
        contract: Option<&Value>,
        pin: &Pin,
        hash: Option<Digest>,
    ) -> Result<Option<Arc<Snapshot>>, Refusal> {
        let files = CandidateFiles::new(self.source.as_ref(), candidate);
        if files.have_changed() {
            return Ok(None);
        }
        let taken = self.store.take(files, contract, pin);
        if files.have_changed() {
            return Ok(None);
        }
        let snapshot = taken?;
        Ok(hash.is_none_or(|hash| snapshot.digests().next() == Some(hash)).then_some(snapshot))
    }
}

/// Proves a copy, and synchronizes it to the disk.
fn prove(prover: &Prover, snapshot: &Snapshot) -> Result<Box<Proof>, Refusal> {
    let proven = prover.prove(snapshot);
    let proof = proven.map_err(|refusal| Refusal::of_lost_copy(snapshot).unwrap_or(refusal))?;
    // Synchronized by the worker, not by the manager: it takes seconds for a large model.
    snapshot.sync().map_err(|error| {
        let detail = format!("the private copy cannot be kept: {}", error.kind());
        Refusal::new(Reason::StorageUnavailable, detail)
    })?;
    Ok(Box::new(proof))
}

/// Returns the result of a job that failed for a reason unrelated to the candidate.
fn failed(work: &Work) -> WorkResult {
    let refusal = Refusal::new(Reason::ProofFailed, "the gateway could not prove it; the log says why");
    match work {
        Work::Hash(_) => WorkResult::Hashed(Err(refusal)),
        Work::Copy { .. } => WorkResult::Copied(Err(refusal)),
        Work::Prove(snapshot) => WorkResult::Proven(Arc::clone(snapshot), Err(refusal)),
    }
}
