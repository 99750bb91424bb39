//! The bytes of one request.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{ByteBudget, OverBudget, ShareKey, UNSHARED_BYTES};

/// Longest time that one request waits for room, in total.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Bytes that are charged to one request, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct ByteCharge(Arc<Charged>);

#[derive(Debug)]
struct Charged {
    budget: Arc<ByteBudget>,
    client: ShareKey,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    /// The part of them that is not allocated yet.
    reserved: u64,
    /// The end of the wait; `None` before the first wait.
    waits_until: Option<Instant>,
}

impl ByteCharge {
    /// Creates an empty charge.
    #[must_use]
    pub fn new(budget: &Arc<ByteBudget>, client: ShareKey) -> Self {
        Self(Arc::new(Charged { budget: Arc::clone(budget), client, held: Mutex::default() }))
    }

    /// Charges more bytes, if there is room for them now.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if there is none; then nothing is charged.
    pub fn try_grow(&self, bytes: u64) -> Result<(), OverBudget> {
        let Charged { budget, client, .. } = &*self.0;
        let mut held = self.lock();
        let wanted = held.bytes.saturating_add(bytes);
        let limit = budget.most_for_one();
        if wanted > limit.max(UNSHARED_BYTES) {
            return Err(budget.too_many_for_one(limit));
        }
        let unshared = unshared_of(wanted) - unshared_of(held.bytes);
        let shared = shared_of(wanted) - shared_of(held.bytes);
        if unshared > 0 {
            budget.take_unshared(unshared)?;
        }
        if shared > 0
            && let Err(refused) = budget.take_shared(*client, shared)
        {
            budget.give_unshared(unshared);
            return Err(refused);
        }
        held.bytes = wanted;
        Ok(())
    }

    /// Charges more bytes; waits for room for up to `LONGEST_WAIT`.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if there is none in time, or never will be. Such a refusal is counted.
    pub async fn grow(&self, bytes: u64) -> Result<(), OverBudget> {
        // Usually there is room, and registering a wake-up costs more than the charge.
        match self.try_grow(bytes) {
            Ok(()) => Ok(()),
            Err(OverBudget::Now) => self.wait_and_grow(bytes).await,
            Err(ever) => Err(self.0.budget.refuse(ever)),
        }
    }

    async fn wait_and_grow(&self, bytes: u64) -> Result<(), OverBudget> {
        let budget = &*self.0.budget;
        loop {
            let mut freed = std::pin::pin!(budget.freed.notified());
            // Before the attempt, so that bytes freed meanwhile are noticed.
            freed.as_mut().enable();
            match self.try_grow(bytes) {
                Ok(()) => return Ok(()),
                Err(OverBudget::Now) => {}
                Err(ever) => return Err(budget.refuse(ever)),
            }
            let until = *self.lock().waits_until.get_or_insert_with(|| Instant::now() + LONGEST_WAIT);
            if timeout_at(until, freed).await.is_err() {
                return Err(budget.refuse(OverBudget::Now));
            }
        }
    }

    /// Charges bytes that will be allocated later, such as the outputs of a queued run; waits for room like
    /// [`ByteCharge::grow`].
    ///
    /// # Errors
    ///
    /// As [`ByteCharge::grow`].
    pub async fn reserve(&self, bytes: u64) -> Result<(), OverBudget> {
        self.grow(bytes).await?;
        let mut held = self.lock();
        held.reserved = held.reserved.saturating_add(bytes);
        self.0.budget.reserved.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Raises the charge to this total: the bytes are allocated already, so they count whether there is room or not.
    pub fn at_least(&self, bytes: u64) {
        let mut held = self.lock();
        self.0.end_reservation(&mut held);
        if bytes > held.bytes {
            self.0.set(&mut held, bytes);
        }
    }

    /// Sets the charge to this total.
    pub fn settle(&self, bytes: u64) {
        let mut held = self.lock();
        self.0.set(&mut held, bytes);
    }

    /// Drops the charge and resets the wait, for the next message of a stream.
    pub fn begin_again(&self) {
        let mut held = self.lock();
        self.0.set(&mut held, 0);
        held.waits_until = None;
    }

    /// Locks the charge for a few instructions.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Charged {
    fn end_reservation(&self, held: &mut Held) {
        self.budget.reserved.fetch_sub(mem::take(&mut held.reserved), Ordering::Relaxed);
    }

    fn set(&self, held: &mut Held, bytes: u64) {
        self.end_reservation(held);
        let Self { budget, client, .. } = self;
        let (unshared, shared) = (unshared_of(held.bytes), shared_of(held.bytes));
        budget.change_unshared(unshared, unshared_of(bytes));
        budget.change_shared(*client, shared, shared_of(bytes));
        if bytes < held.bytes {
            budget.freed.notify_waiters();
        }
        held.bytes = bytes;
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        let mut held = mem::take(self.held.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.set(&mut held, 0);
    }
}

fn unshared_of(bytes: u64) -> u64 {
    bytes.min(UNSHARED_BYTES)
}

fn shared_of(bytes: u64) -> u64 {
    bytes.saturating_sub(UNSHARED_BYTES)
}
