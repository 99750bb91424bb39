//! The budget of bytes in flight: request bodies, the tensors made of them, and unread responses.
//!
//! One budget covers the whole process, so that no number of clients can make it exceed its memory. Each client has a
//! share that shrinks as the budget fills: at most three times what is free (a dynamic threshold, as in shared packet
//! buffers: Choudhury and Hahne, 1998). A single client can thus take three quarters, and there is always something
//! left for the next.

mod charge;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

pub use charge::ByteCharge;

/// Converts a length to the type of the budget.
#[must_use]
pub fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The share of a client, as a multiple of what is free.
const SHARE_OF_FREE: u64 = 3;

/// Bytes of each request that are not counted per client: most requests are no larger, and cost two additions.
const UNSHARED_BYTES: u64 = 16 * 1024;

/// A share that is granted as long as anything is free: large requests must not cause refusals of small ones.
const SMALL_SHARE_BYTES: u64 = 1 << 20;

/// The client that bytes are charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShareKey {
    /// An authenticated caller.
    Caller(u128),
    /// An address, for requests without authentication.
    Address(IpAddr),
}

/// Divisor for the part of the recent peak that is given up each second: half of it within 45 seconds.
const DECAY_DIVISOR: u64 = 64;

/// A refusal to charge more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// Too much is in flight at the moment.
    #[error("the memory for requests in progress is used up: try again soon")]
    Now,
    /// A single request needs more than a client may ever have.
    #[error(
        "the request needs more memory than the {limit} bytes that the requests of one client may take: send less at a time"
    )]
    Ever {
        /// The most bytes that one client may have in flight.
        limit: u64,
    },
}

/// Bytes in flight and their limit.
#[derive(Debug)]
pub struct ByteBudget {
    total: AtomicU64,
    /// The largest size of the last minute or so.
    recent_peak: AtomicU64,
    unshared: AtomicU64,
    shares: Mutex<Shares>,
    /// Bytes that are charged and not allocated yet.
    reserved: AtomicU64,
    freed: Notify,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Shares {
    taken: u64,
    by_client: HashMap<ShareKey, u64>,
}

/// A snapshot of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// The most bytes that may be in flight.
    pub total: u64,
    /// Bytes that are in flight.
    pub taken: u64,
    /// Requests refused for lack of room since the start.
    pub refused: u64,
}

impl ByteBudget {
    /// Creates an unused budget of this size.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self {
            total: AtomicU64::new(total),
            recent_peak: AtomicU64::new(total),
            unshared: AtomicU64::new(0),
            shares: Mutex::default(),
            reserved: AtomicU64::new(0),
            freed: Notify::new(),
            refused: AtomicU64::new(0),
        }
    }

    /// Sets the most bytes that may be in flight, as measured each second. Bytes already in flight stay.
    pub fn set_total(&self, total: u64) {
        let before = self.recent_peak.load(Ordering::Relaxed);
        self.recent_peak.store(total.max(before - before / DECAY_DIVISOR), Ordering::Relaxed);
        if self.total.swap(total, Ordering::Relaxed) < total {
            self.freed.notify_waiters();
        }
    }

    /// Forgets the sizes before the present one: other limits apply from now on.
    pub fn reset_recent_peak(&self) {
        self.recent_peak.store(0, Ordering::Relaxed);
    }

    /// Returns a snapshot of the budget.
    #[must_use]
    pub fn usage(&self) -> BudgetUse {
        BudgetUse {
            total: self.total.load(Ordering::Relaxed),
            taken: self.unshared.load(Ordering::Relaxed).saturating_add(self.lock().taken),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Returns the bytes in flight that are allocated, as far as they are counted.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.usage().taken.saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    /// Returns the most bytes that a single client can have.
    #[must_use]
    pub fn most_for_one(&self) -> u64 {
        self.total.load(Ordering::Relaxed) / (SHARE_OF_FREE + 1) * SHARE_OF_FREE
    }

    /// Returns the refusal of more bytes than a client can have: while the budget is much smaller than it just was,
    /// they may fit again soon.
    fn too_many_for_one(&self, limit: u64) -> OverBudget {
        let is_short = self.total.load(Ordering::Relaxed) < self.recent_peak.load(Ordering::Relaxed) / 2;
        if is_short { OverBudget::Now } else { OverBudget::Ever { limit } }
    }

    fn take_unshared(&self, bytes: u64) -> Result<(), OverBudget> {
        let before = self.unshared.fetch_add(bytes, Ordering::Relaxed);
        // Not exact under concurrency: these requests are small, and the budget leaves a margin for memory it does not
        // count.
        if before.saturating_add(bytes) > self.total.load(Ordering::Relaxed) {
            self.unshared.fetch_sub(bytes, Ordering::Relaxed);
            return Err(OverBudget::Now);
        }
        Ok(())
    }

    fn take_shared(&self, client: ShareKey, bytes: u64) -> Result<(), OverBudget> {
        let mut shares = self.lock();
        let taken = shares.taken.saturating_add(self.unshared.load(Ordering::Relaxed));
        let free = self.total.load(Ordering::Relaxed).saturating_sub(taken);
        let share = shares.by_client.get(&client).copied().unwrap_or_default().saturating_add(bytes);
        let is_small = share <= SMALL_SHARE_BYTES;
        let left = free.checked_sub(bytes).ok_or(OverBudget::Now)?;
        if !is_small && share > left.saturating_mul(SHARE_OF_FREE) {
            return Err(OverBudget::Now);
        }
        shares.add(client, bytes);
        Ok(())
    }

    fn give_unshared(&self, bytes: u64) {
        self.unshared.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn change_unshared(&self, from: u64, to: u64) {
        if to >= from {
            self.unshared.fetch_add(to - from, Ordering::Relaxed);
        } else {
            self.give_unshared(from - to);
        }
    }

    fn change_shared(&self, client: ShareKey, from: u64, to: u64) {
        if from != to {
            let mut shares = self.lock();
            shares.subtract(client, from);
            shares.add(client, to);
        }
    }

    /// Counts a refusal.
    fn refuse(&self, refused: OverBudget) -> OverBudget {
        self.refused.fetch_add(1, Ordering::Relaxed);
        refused
    }

    /// Locks the shares for a few instructions.
    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn add(&mut self, client: ShareKey, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.taken = self.taken.saturating_add(bytes);
        let share = self.by_client.entry(client).or_default();
        *share = share.saturating_add(bytes);
    }

    fn subtract(&mut self, client: ShareKey, bytes: u64) {
        self.taken = self.taken.saturating_sub(bytes);
        if let Some(share) = self.by_client.get_mut(&client) {
            *share = share.saturating_sub(bytes);
            if *share == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn caller(number: u128) -> ShareKey {
        ShareKey::Caller(number)
    }

    #[test]
    fn a_lone_client_has_three_quarters_and_the_next_what_fits_beside() {
        let budget = Arc::new(ByteBudget::new(400 * MIB));
        assert_eq!(budget.most_for_one(), 300 * MIB);
        let first = ByteCharge::new(&budget, caller(1));
        assert_eq!(first.try_grow(301 * MIB), Err(OverBudget::Ever { limit: 300 * MIB }));
        first.try_grow(290 * MIB).unwrap();
        let again = ByteCharge::new(&budget, caller(1));
        assert_eq!(again.try_grow(40 * MIB), Err(OverBudget::Now), "it has its share");
        let second = ByteCharge::new(&budget, caller(2));
        second.try_grow(40 * MIB).unwrap();
        assert_eq!(second.try_grow(60 * MIB), Err(OverBudget::Now));
        drop(first);
        second.try_grow(60 * MIB).unwrap();
        drop((second, again));
        assert_eq!(budget.usage(), BudgetUse { total: 400 * MIB, taken: 0, refused: 0 });
        assert!(budget.lock().by_client.is_empty(), "nobody is remembered who has nothing");
    }

    #[test]
    fn what_does_not_fit_while_the_budget_is_small_may_fit_again() {
        let budget = Arc::new(ByteBudget::new(400 * MIB));
        let grow = |bytes| ByteCharge::new(&budget, caller(1)).try_grow(bytes);
        budget.set_total(8 * MIB);
        assert_eq!(grow(100 * MIB), Err(OverBudget::Now));
        for _ in 0..500 {
            budget.set_total(8 * MIB);
        }
        assert_eq!(grow(100 * MIB), Err(OverBudget::Ever { limit: 6 * MIB }), "it has stayed small");
        budget.set_total(400 * MIB);
        grow(100 * MIB).unwrap();
        budget.reset_recent_peak();
        budget.set_total(8 * MIB);
        assert_eq!(grow(100 * MIB), Err(OverBudget::Ever { limit: 6 * MIB }), "the settings are others");
    }

    #[test]
    fn little_requests_fit_beside_any_number_of_large_ones() {
        let budget = Arc::new(ByteBudget::new(100 * MIB));
        let mut large = Vec::new();
        for client in 0..50 {
            let charge = ByteCharge::new(&budget, caller(client));
            while charge.try_grow(2 * MIB).is_ok() {}
            large.push(charge);
        }
        let little = ByteCharge::new(&budget, ShareKey::Address(IpAddr::from([192, 0, 2, 1])));
        little.try_grow(MIB / 2).unwrap();
    }

    #[test]
    fn what_is_there_already_is_counted_whatever_it_is() {
        let budget = Arc::new(ByteBudget::new(10 * MIB));
        let charge = ByteCharge::new(&budget, caller(1));
        charge.at_least(20 * MIB);
        assert_eq!(budget.usage().taken, 20 * MIB);
        assert_eq!(ByteCharge::new(&budget, caller(2)).try_grow(1), Ok(()), "a byte is in nobody's way");
        assert_eq!(ByteCharge::new(&budget, caller(2)).try_grow(MIB), Err(OverBudget::Now));
        charge.settle(100);
        assert_eq!(budget.usage().taken, 100);
    }

    #[tokio::test]
    async fn a_request_waits_a_little_for_room_and_is_then_refused() {
        let budget = Arc::new(ByteBudget::new(8 * MIB));
        let first = ByteCharge::new(&budget, caller(1));
        first.try_grow(5 * MIB).unwrap();
        let second = ByteCharge::new(&budget, caller(2));
        assert_eq!(second.grow(4 * MIB).await, Err(OverBudget::Now));
        let third = ByteCharge::new(&budget, caller(3));
        let waits = third.grow(4 * MIB);
        let frees = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        assert_eq!(tokio::join!(waits, frees).0, Ok(()));
        assert_eq!(budget.usage().refused, 1);
    }

    #[tokio::test]
    async fn what_is_reserved_is_taken_and_not_there_until_it_is_known() {
        let budget = Arc::new(ByteBudget::new(100 * MIB));
        let (known, gone) = (ByteCharge::new(&budget, caller(1)), ByteCharge::new(&budget, caller(2)));
        known.try_grow(MIB).unwrap();
        known.reserve(20 * MIB).await.unwrap();
        gone.reserve(MIB).await.unwrap();
        assert_eq!((budget.usage().taken, budget.allocated()), (22 * MIB, MIB));
        drop(gone);
        assert_eq!((budget.usage().taken, budget.allocated()), (21 * MIB, MIB));
        known.at_least(10 * MIB);
        assert_eq!(
            (budget.usage().taken, budget.allocated()),
            (21 * MIB, 21 * MIB),
            "as much as was reserved"
        );
        known.settle(10 * MIB);
        assert_eq!((budget.usage().taken, budget.allocated()), (10 * MIB, 10 * MIB));
    }

    #[tokio::test]
    async fn the_next_message_of_a_stream_may_wait_though_the_one_before_did() {
        let budget = Arc::new(ByteBudget::new(8 * MIB));
        let first = ByteCharge::new(&budget, caller(1));
        first.try_grow(5 * MIB).unwrap();
        let stream = ByteCharge::new(&budget, caller(2));
        assert_eq!(stream.grow(4 * MIB).await, Err(OverBudget::Now));
        stream.begin_again();
        let waits = stream.grow(4 * MIB);
        let frees = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        assert_eq!(tokio::join!(waits, frees).0, Ok(()));
    }
}
