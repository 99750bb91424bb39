//! Token buckets that are charged afterwards: for failures, not for requests.
//!
//! Each is a generic cell rate algorithm: one time per key, at which the bucket is full again.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use super::{burst, replenish_interval};
use crate::config::QuotaSettings;

/// Most keys that are remembered. Beyond that each new key evicts another, which only gets a full bucket back.
const MAX_KEYS: usize = 65_536;

/// Least time between two passes over all keys, which remove those with full buckets: with many keys a pass takes long.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Buckets of one size, by key. An unknown key has a full bucket.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    interval: Duration,
    /// Time in which an empty bucket becomes full.
    period: Duration,
    full_at: HashMap<K, Instant>,
    max_keys: usize,
    /// Time of the last pass over all keys.
    examined: Option<Instant>,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    /// Creates full buckets of this size.
    pub(super) fn new(settings: &QuotaSettings) -> Self {
        let interval = replenish_interval(settings);
        let period = interval.saturating_mul(burst(settings).get());
        Self { interval, period, full_at: HashMap::new(), max_keys: MAX_KEYS, examined: None }
    }

    /// Returns the time until another failure is allowed; `None` if it is allowed now.
    pub(super) fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let missing = self.full_at.get(key)?.saturating_duration_since(now);
        let wait = (missing + self.interval).saturating_sub(self.period);
        (!wait.is_zero()).then_some(wait)
    }

    /// Returns true if there was a recent failure.
    pub(super) fn is_charged(&self, key: &K, now: Instant) -> bool {
        self.full_at.get(key).is_some_and(|full_at| *full_at > now)
    }

    /// Takes one token, if any is left. Failures in progress when the bucket became empty thus prolong the wait by at
    /// most the period.
    pub(super) fn charge(&mut self, key: K, now: Instant) {
        if self.full_at.len() >= self.max_keys && !self.full_at.contains_key(&key) {
            if self.examined.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL) {
                self.forget_full(now);
            }
            if self.full_at.len() >= self.max_keys
                && let Some(any) = self.full_at.keys().next().copied()
            {
                self.full_at.remove(&any);
            }
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        *full_at = ((*full_at).max(now) + self.interval).min(now + self.period);
    }

    /// Removes keys whose bucket is full again.
    pub(super) fn forget_full(&mut self, now: Instant) {
        self.examined = Some(now);
        self.full_at.retain(|_, full_at| *full_at > now);
    }

    /// Frees the memory of removed keys.
    pub(super) fn shrink(&mut self) {
        self.full_at.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn three_in_three_seconds() -> Buckets<u32> {
        Buckets::new(&QuotaSettings { requests: 3, period_seconds: 3 })
    }

    #[test]
    fn a_bucket_is_empty_after_as_many_as_it_holds_and_gives_them_back_evenly() {
        let (mut buckets, now) = (three_in_three_seconds(), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.wait(&1, now), None);
            buckets.charge(1, now);
        }
        assert_eq!(buckets.wait(&1, now), Some(SECOND));
        assert_eq!(buckets.wait(&2, now), None, "another key has its own");
        assert_eq!(buckets.wait(&1, now + SECOND), None);
        assert!(buckets.is_charged(&1, now + SECOND) && !buckets.is_charged(&1, now + 3 * SECOND));
    }

    #[test]
    fn more_than_a_bucket_holds_is_not_owed() {
        let (mut buckets, now) = (three_in_three_seconds(), Instant::now());
        (0..100).for_each(|_| buckets.charge(1, now));
        assert_eq!(buckets.wait(&1, now), Some(SECOND));
        assert!(!buckets.is_charged(&1, now + 3 * SECOND));
    }

    #[test]
    fn keys_with_a_full_bucket_are_forgotten_and_their_number_is_bounded() {
        let (mut buckets, now) = (three_in_three_seconds(), Instant::now());
        buckets.max_keys = 10;
        for key in 0..25 {
            buckets.charge(key, now);
            assert!(buckets.full_at.len() <= 10);
        }
        assert!(buckets.is_charged(&24, now), "the newest is among them");
        buckets.charge(25, now + SECOND);
        assert_eq!(buckets.full_at.len(), 1, "what is full again gives way first");
        buckets.forget_full(now + 2 * SECOND);
        assert!(buckets.full_at.is_empty());
    }
}
