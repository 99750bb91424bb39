//! The threads that do for a candidate what takes long: hash it, copy it, prove it. So many run at a time; one that
//! takes long holds up nobody else's model.

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
        Candidate, LifecycleSettings, Proof, Prover, Reason, Refusal, Snapshot, Store, digest_of,
        model_config::Pin, source::fingerprint,
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
    /// Which piece of work it was.
    pub(super) number: u64,
    pub(super) result: WorkResult,
    pub(super) duration_ms: u64,
}

pub(super) enum WorkResult {
    /// Nothing if it changed meanwhile.
    Hashed(Result<Option<Digest>, Refusal>),
    /// Nothing if it changed meanwhile.
    Copied(Result<Option<Arc<Snapshot>>, Refusal>),
    Proven(Arc<Snapshot>, Result<Box<Proof>, Refusal>),
}

/// Gives work to threads, each of which goes on as long as there is any.
pub(super) struct Workers {
    shared: Arc<Shared>,
    given: u64,
}

/// The work, as the threads share it.
struct Shared {
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
    candidate: Candidate,
    number: u64,
    work: Work,
}

impl Workers {
    pub(super) fn new(store: Arc<Store>, prover: Prover, messages: Sender<Message>) -> Self {
        let queue = Mutex::new(Queue { prover, running: 0, waiting: VecDeque::new() });
        Self { shared: Arc::new(Shared { store, messages, queue }), given: 0 }
    }

    pub(super) fn change_settings(&mut self, settings: &LifecycleSettings) {
        let mut queue = self.shared.queue();
        queue.prover.settings = settings.admission.clone();
        queue.prover.memory_limit_bytes = settings.runtime.memory_limit_bytes;
    }

    /// Does the work as soon as a thread may be had; a [`Message::Done`] with the number that is answered tells when. What
    /// still waited to be done for the same version is of no use any more.
    pub(super) fn give(&mut self, candidate: Candidate, work: Work) -> u64 {
        self.given += 1;
        let number = self.given;
        let mut queue = self.shared.queue();
        let same =
            |job: &Job| job.candidate.model == candidate.model && job.candidate.version == candidate.version;
        queue.waiting.retain(|job| !same(job));
        // What is copied is close to serving; what is not has waited in the repository for as long.
        match work {
            Work::Prove { .. } => queue.waiting.push_front(Job { candidate, number, work }),
            Work::Hash | Work::Copy { .. } => queue.waiting.push_back(Job { candidate, number, work }),
        }
        if queue.running < MAX_RUNNING {
            queue.running += 1;
            drop(queue);
            self.start_thread();
        }
        number
    }

    /// Whoever waits for a child has to be the one who started it, so what takes long has threads of its own.
    fn start_thread(&self) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("admission".to_owned());
        if let Err(error) = thread.spawn(move || shared.work()) {
            tracing::error!(%error, "no thread can be had for a candidate");
            let mut queue = self.shared.queue();
            queue.running -= 1;
            // Another thread may still come to it.
            let stuck = if queue.running == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
            drop(queue);
            for Job { candidate, number, work } in stuck {
                self.shared.tell(Done { result: failed(&work), candidate, number, duration_ms: 0 });
            }
        }
    }
}

impl Shared {
    /// Does what there is to do, one thing after the other.
    fn work(&self) {
        while let Some((Job { candidate, number, work }, prover)) = self.next() {
            let start = Instant::now();
            let result = carry_out(&self.store, &prover, &candidate, work);
            let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.tell(Done { candidate, number, result, duration_ms });
        }
    }

    /// The next thing to do, and how candidates are to be proven now; `None` ends the thread.
    fn next(&self) -> Option<(Job, Prover)> {
        let mut queue = self.queue();
        let Some(job) = queue.waiting.pop_front() else {
            queue.running -= 1;
            return None;
        };
        Some((job, queue.prover.clone()))
    }

    fn tell(&self, done: Done) {
        // Nobody is there to be told when the gateway has stopped.
        let _ = self.messages.send(Message::Done(Box::new(done)));
    }

    /// Held for some instructions, whole at every point where a panic could leave it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn carry_out(store: &Store, prover: &Prover, candidate: &Candidate, work: Work) -> WorkResult {
    let otherwise = failed(&work);
    let done = catch_unwind(AssertUnwindSafe(|| match work {
        Work::Hash if has_changed(candidate) => WorkResult::Hashed(Ok(None)),
        Work::Hash => {
            let room = store.check_room(candidate);
            WorkResult::Hashed(room.and_then(|()| digest_of(candidate)).map(Some))
        }
        Work::Copy { contract, pin, hash } => {
            WorkResult::Copied(copy(store, candidate, contract.as_ref(), &pin, hash))
        }
        Work::Prove { snapshot } => {
            let proven = prover.prove(&snapshot);
            let proven = proven.map_err(|refusal| Refusal::of_lost_copy(&snapshot).unwrap_or(refusal));
            let proven = proven.and_then(|proof| {
                // Here and not where requests are waited for: it takes seconds for a large model.
                snapshot.sync().map_err(|error| {
                    let detail = format!("the private copy cannot be kept: {}", error.kind());
                    Refusal::new(Reason::StorageUnavailable, detail)
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
    if has_changed(candidate) {
        return Ok(None);
    }
    let taken = store.take(candidate, contract, pin);
    if has_changed(candidate) {
        return Ok(None);
    }
    let snapshot = taken?;
    Ok(hash.is_none_or(|hash| snapshot.digests().next() == Some(hash)).then_some(snapshot))
}

/// Whether the files are not what they were when the work was given out.
fn has_changed(candidate: &Candidate) -> bool {
    fingerprint(&candidate.file, &candidate.external) != candidate.fingerprint
}
