//! State of rate limiters with one bucket per caller, in bounded memory.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use crate::auth::Caller;

/// Most buckets of all stores that share a count. More callers than that share one bucket of each quota. A bucket takes 25
/// bytes, and its map is at least 7/16 full.
const MAX_BUCKETS: usize = 1 << 20;

/// Number of parts, each with its own lock.
const PARTS: usize = 64;

/// A caller, as a key: half of the memory of an aligned `u128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallerKey {
    low: u64,
    high: u64,
}

impl CallerKey {
    /// Returns the half that the hash of a map need not depend on.
    pub(super) fn high(self) -> u64 {
        self.high
    }
}

impl From<&Caller> for CallerKey {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the number")]
    fn from(caller: &Caller) -> Self {
        let key = caller.key();
        Self { low: key as u64, high: (key >> u64::BITS) as u64 }
    }
}

/// Hasher for keys that are random already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RandomKeyHasher(u64);

impl Hasher for RandomKeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 ^= half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map by caller.
pub(super) type ByCaller<T> = HashMap<CallerKey, T, BuildHasherDefault<RandomKeyHasher>>;

/// The number of buckets in stores that share a bound.
#[derive(Clone, Debug)]
pub(super) struct BucketCount {
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Default for BucketCount {
    fn default() -> Self {
        Self::up_to(MAX_BUCKETS)
    }
}

impl BucketCount {
    pub(super) fn up_to(most: usize) -> Self {
        Self { used: Arc::default(), most }
    }

    /// Counts one more bucket. Returns true if there is room for it.
    fn take(&self) -> bool {
        let is_free = self.used.fetch_add(1, Ordering::Relaxed) < self.most;
        if !is_free {
            self.give_back(1);
        }
        is_free
    }

    fn give_back(&self, buckets: usize) {
        self.used.fetch_sub(buckets, Ordering::Relaxed);
    }
}

/// The buckets of one quota: for each, the time at which it is full again.
#[derive(Debug)]
pub(super) struct CappedStore {
    parts: [Mutex<ByCaller<Nanos>>; PARTS],
    /// The bucket of all callers beyond the bound.
    shared: Mutex<Option<Nanos>>,
    count: BucketCount,
}

impl CappedStore {
    pub(super) fn new(count: BucketCount) -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), shared: Mutex::default(), count }
    }

    #[expect(clippy::cast_possible_truncation, reason = "some bits of it")]
    fn part(&self, key: &CallerKey) -> MutexGuard<'_, ByCaller<Nanos>> {
        // The other half tells the keys of a part apart.
        lock(&self.parts[key.high as usize % PARTS])
    }
}

/// Locks a part: for one look-up, or while up to a few ten thousand buckets are checked or moved.
fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StateStore for CappedStore {
    type Key = CallerKey;

    fn measure_and_replace<T, F, E>(&self, key: &CallerKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut part = self.part(key);
        if let Some(bucket) = part.get_mut(key) {
            let (outcome, next) = decide(Some(*bucket))?;
            *bucket = next;
            return Ok(outcome);
        }
        if self.count.take() {
            let decided = decide(None).inspect_err(|_| self.count.give_back(1));
            let (outcome, next) = decided?;
            part.insert(*key, next);
            return Ok(outcome);
        }
        drop(part);
        let mut shared = lock(&self.shared);
        let (outcome, next) = decide(*shared)?;
        *shared = Some(next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<CallerKey> for CappedStore {
    fn retain_recent(&self, drop_below: Nanos) {
        for part in &self.parts {
            // One part at a time, so that no request waits long.
            let mut part = lock(part);
            let before = part.len();
            part.retain(|_, bucket| *bucket > drop_below);
            self.count.give_back(before - part.len());
        }
    }

    fn shrink_to_fit(&self) {
        for part in &self.parts {
            let mut part = lock(part);
            // Keeps some capacity: it fills up again soon.
            if part.capacity() > 4 * part.len() {
                part.shrink_to_fit();
            }
        }
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| lock(part).is_empty())
    }
}

impl Drop for CappedStore {
    fn drop(&mut self) {
        self.count.give_back(self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::memory::{resident_bytes, trim_heap};

    fn key(number: u64) -> CallerKey {
        CallerKey { low: number.wrapping_mul(0x9E37_79B9_7F4A_7C15), high: number }
    }

    /// Charges a bucket that holds one request.
    fn charge(store: &CappedStore, number: u64) -> Result<(), ()> {
        store.measure_and_replace(&key(number), |bucket| match bucket {
            None => Ok(((), Nanos::new(number + 1))),
            Some(_) => Err(()),
        })
    }

    #[test]
    fn callers_beyond_the_bound_share_a_bucket_until_others_are_full_again() {
        let store = CappedStore::new(BucketCount::up_to(100));
        (0..100).for_each(|number| assert_eq!(charge(&store, number), Ok(()), "{number}"));
        assert_eq!(charge(&store, 7), Err(()), "its own bucket is empty");
        assert_eq!(charge(&store, 100), Ok(()), "the first of those that share one");
        assert_eq!(charge(&store, 101), Err(()), "it is empty now");
        assert_eq!(store.len(), 100);
        store.retain_recent(Nanos::new(90));
        assert_eq!(store.len(), 10, "those that are full again are forgotten");
        assert_eq!(charge(&store, 101), Ok(()), "and there is room");
        assert_eq!(charge(&store, 95), Err(()), "a used one is not forgotten");
    }

    #[test]
    fn stores_that_share_a_count_have_one_bound() {
        let count = BucketCount::up_to(10);
        let (first, second) = (CappedStore::new(count.clone()), CappedStore::new(count.clone()));
        (0..6).for_each(|number| {
            let _ = charge(&first, number);
        });
        (0..6).for_each(|number| {
            let _ = charge(&second, number);
        });
        assert_eq!((first.len(), second.len()), (6, 4));
        drop(first);
        (10..16).for_each(|number| {
            let _ = charge(&second, number);
        });
        assert_eq!(second.len(), 10, "a store that is gone gives its places back");
    }

    #[test]
    fn refused_callers_take_no_place() {
        let store = CappedStore::new(BucketCount::up_to(10));
        let refused = store.measure_and_replace(&key(1), |_| Err::<((), Nanos), ()>(()));
        assert_eq!((refused, store.len()), (Err(()), 0));
        assert!(store.is_empty());
    }

    #[test]
    #[ignore = "takes seconds, and prints: cargo test --release a_million_callers -- --ignored --nocapture"]
    #[expect(clippy::print_stderr, reason = "it is what the test is for")]
    fn a_million_callers_take_a_bounded_memory_and_give_it_back() {
        let resident = || resident_bytes().unwrap();
        // The code that runs is in memory from now on.
        let few = CappedStore::new(BucketCount::default());
        for number in 0..1000 {
            let _ = charge(&few, number);
        }
        few.retain_recent(Nanos::new(1_000_000));
        few.shrink_to_fit();
        trim_heap();
        let (store, before) = (CappedStore::new(BucketCount::default()), resident());
        for number in 0..1_000_000 {
            let _ = charge(&store, number);
        }
        let bytes = resident() - before;
        eprintln!("{} callers: {bytes} bytes, {} each", store.len(), bytes / 1_000_000);
        assert!(bytes < 64_000_000, "{bytes}");
        store.retain_recent(Nanos::new(1_000_000));
        store.shrink_to_fit();
        trim_heap();
        let left = resident().saturating_sub(before);
        eprintln!("after their quotas are full again: {} callers, {left} bytes", store.len());
        assert!(store.is_empty() && left < 4_000_000, "{left}");
    }
}
