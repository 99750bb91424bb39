//! Cache of verified tokens: verifying a token takes longer than the rest of a small request.
//!
//! Only accepted tokens are stored, by their SHA-256, so that no token is kept in memory. A token's times are checked
//! at each use, and so is the trust in the key of an issuer, which may withdraw it. A revocation removes its tokens. The
//! other rules cannot change under an entry: a verifier with other keys or rules starts with an empty cache.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use aws_lc_rs::digest::{SHA256, digest};

use super::{Caller, key_trust::KeyTrust};

/// Number of parts, each with its own lock.
const PARTS: usize = 16;

/// Most tokens in a part, and the bytes that they take. Beyond that each new token evicts another, which has to be
/// verified again at its next use.
const MOST_IN_PART: usize = 4096;
const MOST_BYTES_IN_PART: usize = 1024 * 1024;

type Fingerprint = [u8; 32];

/// The callers of accepted tokens.
#[derive(Debug, Default)]
pub(super) struct KnownTokens {
    parts: [Mutex<Part>; PARTS],
}

#[derive(Debug, Default)]
struct Part {
    by_fingerprint: HashMap<Fingerprint, Known, BuildHasherDefault<FingerprintHasher>>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    caller: Arc<Caller>,
    /// Trust in the key that verified the token; `None` if it lasts as long as this cache.
    trust: Option<KeyTrust>,
    /// Time of acceptance. If the clock is set back before it, the token may not have been valid yet.
    since: SystemTime,
}

/// Hasher for fingerprints, which are hashes already. No client can have many tokens signed whose fingerprints end alike.
#[derive(Debug, Default)]
struct FingerprintHasher(u64);

impl Hasher for FingerprintHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Its first byte chooses the part, so the last ones tell the fingerprints of a part apart.
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns the key under which a token is cached.
pub(super) fn fingerprint(token: &str) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    fingerprint
}

impl KnownTokens {
    /// Returns the caller of a cached token; `None` if the token is unknown or is not valid at this time.
    pub(super) fn caller(&self, fingerprint: &Fingerprint, now: SystemTime) -> Option<Arc<Caller>> {
        let part = self.part(fingerprint);
        let known = part.by_fingerprint.get(fingerprint)?;
        let is_trusted = known.trust.as_ref().is_none_or(KeyTrust::holds);
        (is_trusted && known.since <= now && !known.caller.is_expired(now)).then(|| Arc::clone(&known.caller))
    }

    /// Stores a token that was accepted at this time.
    pub(super) fn remember(
        &self,
        fingerprint: Fingerprint,
        caller: &Arc<Caller>,
        trust: Option<KeyTrust>,
        now: SystemTime,
    ) {
        self.part(&fingerprint).insert(fingerprint, Known { caller: Arc::clone(caller), trust, since: now });
    }

    /// Removes the tokens of these callers.
    pub(super) fn forget_if(&self, mut is_forgotten: impl FnMut(&Caller) -> bool) {
        for part in &self.parts {
            lock(part).forget_if(|known| is_forgotten(&known.caller));
        }
    }

    /// Removes tokens that have expired or whose key is not trusted any more, and frees their memory.
    pub(super) fn forget_expired(&self, now: SystemTime) {
        for part in &self.parts {
            // One part at a time, so that no request waits long.
            lock(part).forget_expired(now);
        }
    }

    /// Locks the part of a token, for a look-up or an insertion only.
    fn part(&self, fingerprint: &Fingerprint) -> MutexGuard<'_, Part> {
        lock(&self.parts[usize::from(fingerprint[0]) % PARTS])
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    fn insert(&mut self, fingerprint: Fingerprint, known: Known) {
        let bytes = known.bytes();
        self.remove(&fingerprint);
        while self.by_fingerprint.len() >= MOST_IN_PART || self.bytes + bytes > MOST_BYTES_IN_PART {
            let Some(any) = self.by_fingerprint.keys().next().copied() else { break };
            self.remove(&any);
        }
        self.bytes += bytes;
        self.by_fingerprint.insert(fingerprint, known);
    }

    fn remove(&mut self, fingerprint: &Fingerprint) {
        if let Some(known) = self.by_fingerprint.remove(fingerprint) {
            self.bytes -= known.bytes();
        }
    }

    fn forget_expired(&mut self, now: SystemTime) {
        self.forget_if(|known| {
            known.caller.is_expired(now) || known.trust.as_ref().is_some_and(|trust| !trust.holds())
        });
        // Keeps some capacity: it fills up again soon.
        if self.by_fingerprint.capacity() > 4 * self.by_fingerprint.len() {
            self.by_fingerprint.shrink_to_fit();
        }
    }

    fn forget_if(&mut self, mut is_forgotten: impl FnMut(&Known) -> bool) {
        self.by_fingerprint.retain(|_, known| !is_forgotten(known));
        self.bytes = self.by_fingerprint.values().map(Known::bytes).sum();
    }
}

impl Known {
    /// Returns the approximate memory that an entry takes, its place in the map included.
    fn bytes(&self) -> usize {
        size_of::<(Fingerprint, Self)>() + self.caller.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Scopes;

    fn caller(valid_until: SystemTime) -> Arc<Caller> {
        Arc::new(Caller::new(String::new(), "someone".to_owned(), Scopes::default(), Some(valid_until)))
    }

    #[test]
    fn a_token_is_known_from_when_it_was_believed_until_it_expires() {
        let (known, now) = (KnownTokens::default(), SystemTime::now());
        let second = Duration::from_secs(1);
        let key = fingerprint("a");
        assert_eq!(known.caller(&key, now), None);
        known.remember(key, &caller(now + second), None, now);
        assert!(known.caller(&key, now).is_some());
        assert_eq!(known.caller(&key, now + second), None, "expired");
        assert_eq!(known.caller(&key, now - second), None, "not valid yet, for all we know");
        assert_eq!(known.caller(&fingerprint("b"), now), None);
    }

    #[test]
    fn a_token_is_forgotten_once_its_key_is_not_trusted() {
        let (known, now) = (KnownTokens::default(), SystemTime::now());
        let (key, trust) = (fingerprint("a"), KeyTrust::new());
        known.remember(key, &caller(now + Duration::from_secs(9)), Some(trust.clone()), now);
        assert!(known.caller(&key, now).is_some());
        trust.end();
        assert_eq!(known.caller(&key, now), None);
        known.forget_expired(now);
        assert!(known.part(&key).by_fingerprint.is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (known, now) = (KnownTokens::default(), SystemTime::now());
        let caller = caller(now + Duration::from_hours(1));
        for number in 0..PARTS * MOST_IN_PART * 2 {
            known.remember(fingerprint(&number.to_string()), &caller, None, now);
        }
        let within = |part: &Mutex<Part>| {
            let part = part.lock().unwrap();
            part.by_fingerprint.len() <= MOST_IN_PART && part.bytes <= MOST_BYTES_IN_PART
        };
        assert!(known.parts.iter().all(within));
        let last = fingerprint(&(PARTS * MOST_IN_PART * 2 - 1).to_string());
        assert!(known.caller(&last, now).is_some(), "the newest is remembered");
    }

    #[test]
    fn callers_with_much_to_say_of_them_count_for_more() {
        let (known, now) = (KnownTokens::default(), SystemTime::now());
        let until = Some(now + Duration::from_hours(1));
        let long = Caller::new("i".repeat(7000), "someone".to_owned(), Scopes::default(), until);
        let long = Arc::new(long);
        for number in 0..PARTS * 1000 {
            known.remember(fingerprint(&number.to_string()), &long, None, now);
        }
        assert!(known.parts.iter().all(|part| part.lock().unwrap().by_fingerprint.len() < 150));
    }

    #[test]
    fn tokens_that_are_over_are_forgotten() {
        let (known, now) = (KnownTokens::default(), SystemTime::now());
        let (short, long) = (now + Duration::from_secs(1), now + Duration::from_hours(1));
        for number in 0..2000 {
            let until = if number % 100 == 0 { long } else { short };
            known.remember(fingerprint(&number.to_string()), &caller(until), None, now);
        }
        known.forget_expired(short);
        let parts: Vec<_> = known.parts.iter().map(|part| part.lock().unwrap()).collect();
        assert_eq!(parts.iter().map(|part| part.by_fingerprint.len()).sum::<usize>(), 20);
        assert!(parts.iter().all(|part| part.by_fingerprint.capacity() < 50));
        let bytes: usize = parts.iter().map(|part| part.bytes).sum();
        assert!((20 * 100..20 * 1000).contains(&bytes), "{bytes}");
    }
}
