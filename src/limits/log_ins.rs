//! Scheduling of client log-ins. Verifying one takes about 20 ms of a core and 19 MiB, so they are queued, and refused
//! after repeated failures.

mod failures;
mod waiting;

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use tokio::sync::oneshot;

use self::{
    failures::{Class, ClientKey, FailureRecord, Failures},
    waiting::{Queue, Waiting, class_of},
};
use super::{AddressKey, Exceeded};
use crate::{
    auth::{Clients, Scopes},
    config::{QuotaSettings, Secret},
    system::priority::{Niceness, set_niceness},
};

/// Most verifications at a time, each on its own thread: the allocator may keep a verification's memory for each
/// thread.
const MAX_THREADS: usize = 4;

/// Most memory of all verifications in progress: as much as a single one may take.
const MAX_MEMORY_KIB: u32 = 262_144;

/// A verifier of log-ins that takes those without suspicion first.
#[derive(Debug)]
pub struct LogIns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A signal that a log-in waits, or that there is room for one.
    changed: Condvar,
    threads: usize,
}

#[derive(Debug)]
struct State {
    failures: Failures,
    /// The quota of failures; `None` while failures do not lead to refusal.
    quota: Option<QuotaSettings>,
    /// The size of the buckets, which also order the queue while nothing is refused.
    counted_by: QuotaSettings,
    queue: Queue<LogInRequest>,
    in_progress: usize,
    /// Verifications in progress whose address has failed.
    failed_in_progress: usize,
    memory_kib: u32,
    is_closed: bool,
}

/// A secret that waits for verification.
#[derive(Debug)]
struct LogInRequest {
    clients: Arc<Clients>,
    client_id: String,
    secret: Secret,
    response: oneshot::Sender<Result<Scopes, LogInError>>,
}

/// A reason to refuse a log-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogInError {
    /// The id or the secret is wrong; the client does not learn which.
    #[error("unknown client or wrong secret")]
    Invalid,
    /// Too many log-ins from this address have failed.
    #[error("too many log-ins from this address have failed")]
    Refused(Exceeded),
    /// The queue of verifications is full.
    #[error("too many log-ins are in progress")]
    Overloaded,
}

impl LogIns {
    /// Starts the threads that verify, for a machine with this number of CPUs. Log-ins are always ordered by past
    /// failures, and refused for them only if `refuses`.
    #[must_use]
    pub fn new(quota: &QuotaSettings, refuses: bool, cpus: usize) -> Self {
        let state = State {
            failures: Failures::new(quota),
            quota: refuses.then(|| quota.clone()),
            counted_by: quota.clone(),
            queue: Queue::new(),
            in_progress: 0,
            failed_in_progress: 0,
            memory_kib: 0,
            is_closed: false,
        };
        let threads = cpus.clamp(1, MAX_THREADS);
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), threads });
        for _ in 0..threads {
            let of_thread = Arc::clone(&shared);
            let started = thread::Builder::new().name("clients".to_owned()).spawn(move || of_thread.verify());
            if let Err(error) = started {
                tracing::error!(%error, "failed to start a thread that verifies clients");
            }
        }
        Self { shared }
    }

    /// Applies a changed quota. An unchanged one keeps its charges.
    pub fn set_quota(&self, quota: &QuotaSettings, refuses: bool) {
        let mut state = self.shared.lock();
        if state.counted_by != *quota {
            state.failures.resize(quota);
            state.counted_by = quota.clone();
        }
        state.quota = refuses.then(|| quota.clone());
    }

    /// Returns the scopes of a client if its secret is right.
    ///
    /// An unknown client takes as long as a wrong secret: a hash is verified either way. A client that disconnects
    /// before its turn costs nothing.
    ///
    /// # Errors
    ///
    /// See [`LogInError`].
    pub async fn authenticate(
        &self,
        clients: &Arc<Clients>,
        client_id: &str,
        secret: Secret,
        address: AddressKey,
    ) -> Result<Scopes, LogInError> {
        let response = {
            let (mut state, now) = (self.shared.lock(), Instant::now());
            let client = state.failures.key(client_id);
            if let Some(exceeded) = state.refusal(address, client, now) {
                return Err(LogInError::Refused(exceeded));
            }
            // Not before the refusal: a refused client must not learn from this whether a guess was right.
            if let Some(scopes) = clients.recall(client_id, &secret, now) {
                state.failures.succeeded(address, client, now);
                return Ok(scopes);
            }
            let memory_kib = clients.memory_kib(client_id).ok_or(LogInError::Invalid)?;
            let (sender, response) = oneshot::channel();
            let (clients, client_id) = (Arc::clone(clients), client_id.to_owned());
            let asked = LogInRequest { clients, client_id, secret, response: sender };
            state.push(Waiting { address, client, memory_kib, asked }, now);
            response
        };
        self.shared.changed.notify_one();
        response.await.unwrap_or(Err(LogInError::Overloaded))
    }

    /// Removes failures that no longer matter.
    pub fn release_idle(&self) {
        self.shared.lock().failures.release_idle(Instant::now());
    }
}

impl Drop for LogIns {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn refusal(&self, address: AddressKey, client: ClientKey, now: Instant) -> Option<Exceeded> {
        let quota = self.quota.clone()?;
        match self.failures.standing(address, client, now) {
            FailureRecord::Refused(wait) => Some(Exceeded { wait, quota }),
            FailureRecord::Waits(_) => None,
        }
    }

    fn push(&mut self, waiting: Waiting<LogInRequest>, now: Instant) {
        let Self { queue, failures, .. } = self;
        let class = |waiting: &Waiting<LogInRequest>| class(failures, waiting, now);
        if let Some(gives_way) = queue.push(waiting, class) {
            let _ = gives_way.asked.response.send(Err(LogInError::Overloaded));
        }
    }

    /// Takes the next log-in to verify. Drops those that need no verification: their address has failed too often
    /// meanwhile, or their client has disconnected.
    fn next(&mut self, threads: usize, now: Instant) -> Option<(Class, Waiting<LogInRequest>)> {
        self.queue.take(|waiting| waiting.asked.response.is_closed());
        if let Some(quota) = &self.quota {
            let failures = &self.failures;
            let refused = |waiting: &Waiting<LogInRequest>| match failures.standing(
                waiting.address,
                waiting.client,
                now,
            ) {
                FailureRecord::Refused(wait) => Some(wait),
                FailureRecord::Waits(_) => None,
            };
            for waiting in self.queue.take(|waiting| refused(waiting).is_some()) {
                let wait = refused(&waiting).unwrap_or_default();
                let exceeded = Exceeded { wait, quota: quota.clone() };
                let _ = waiting.asked.response.send(Err(LogInError::Refused(exceeded)));
            }
        }
        let Self { queue, failures, in_progress, failed_in_progress, memory_kib, .. } = self;
        // If there are several threads, one is reserved for addresses that have not failed.
        let most_failed = threads.saturating_sub(1).max(1);
        let has_room = |class, kib| {
            (*in_progress == 0 || *memory_kib + kib <= MAX_MEMORY_KIB)
                && (class != Class::FailedAddress || *failed_in_progress < most_failed)
        };
        let (class, next) = queue.next(|waiting| class(failures, waiting, now), has_room)?;
        *in_progress += 1;
        *failed_in_progress += usize::from(class == Class::FailedAddress);
        *memory_kib += next.memory_kib;
        Some((class, next))
    }
}

fn class(failures: &Failures, waiting: &Waiting<LogInRequest>, now: Instant) -> Class {
    class_of(failures.standing(waiting.address, waiting.client, now))
}

impl Shared {
    /// Locks the state: for microseconds, or longer while expired entries are removed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies log-ins one by one until the end.
    fn verify(&self) {
        // Predictions must not wait for log-ins.
        set_niceness(Niceness::Interactive);
        let mut state = self.lock();
        while !state.is_closed {
            let Some((class, Waiting { address, client, memory_kib, asked })) =
                state.next(self.threads, Instant::now())
            else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if !state.queue.is_empty() {
                self.changed.notify_one();
            }
            drop(state);
            let LogInRequest { clients, client_id, secret, response } = asked;
            let scopes = clients.verify(&client_id, &secret);
            let now = Instant::now();
            state = self.lock();
            state.in_progress -= 1;
            state.failed_in_progress -= usize::from(class == Class::FailedAddress);
            state.memory_kib -= memory_kib;
            if scopes.is_some() {
                state.failures.succeeded(address, client, now);
            } else {
                state.failures.failed(address, client, now);
            }
            // The client may have disconnected.
            let _ = response.send(scopes.ok_or(LogInError::Invalid));
        }
    }
}
