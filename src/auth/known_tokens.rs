//! Tokens that were verified: verifying one again takes longer than all the rest of a small request.
//!
//! Only what was believed is remembered, by the token's SHA-256, so that the tokens themselves are kept nowhere; and only
//! as long as it would be believed again: the times that a token names are looked at each time. What else it was judged by
//! does not change, as a verifier with other keys or rules is another one, which remembers nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use aws_lc_rs::digest::{SHA256, digest};

use super::Caller;

/// Parts of the memory that do not wait for each other.
const PARTS: usize = 16;

/// So many tokens are remembered in a part. Whoever can have more made than that costs the others a verification.
const MOST_IN_PART: usize = 4096;

type Fingerprint = [u8; 32];

/// The callers of tokens that were believed.
#[derive(Debug, Default)]
pub(super) struct KnownTokens {
    parts: [Mutex<HashMap<Fingerprint, Known>>; PARTS],
}

#[derive(Debug)]
struct Known {
    caller: Arc<Caller>,
    /// When it was believed: a clock that goes back may come to a time when it was not valid yet.
    since: SystemTime,
}

/// What a token is remembered by.
pub(super) fn fingerprint(token: &str) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    fingerprint
}

impl KnownTokens {
    /// Who calls with this token, if it was believed before and would be again.
    pub(super) fn caller(&self, fingerprint: &Fingerprint, now: SystemTime) -> Option<Arc<Caller>> {
        let part = self.part(fingerprint);
        let known = part.get(fingerprint)?;
        (known.since <= now && !known.caller.is_expired(now)).then(|| Arc::clone(&known.caller))
    }

    /// Remembers a token that was believed at this time.
    pub(super) fn remember(&self, fingerprint: Fingerprint, caller: &Arc<Caller>, now: SystemTime) {
        let mut part = self.part(&fingerprint);
        if part.len() >= MOST_IN_PART {
            part.retain(|_, known| !known.caller.is_expired(now));
        }
        if part.len() >= MOST_IN_PART {
            part.clear();
        }
        part.insert(fingerprint, Known { caller: Arc::clone(caller), since: now });
    }

    /// Held for some instructions at a time.
    fn part(&self, fingerprint: &Fingerprint) -> MutexGuard<'_, HashMap<Fingerprint, Known>> {
        let part = usize::from(fingerprint[0]) % PARTS;
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
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
        known.remember(key, &caller(now + second), now);
        assert!(known.caller(&key, now).is_some());
        assert_eq!(known.caller(&key, now + second), None, "expired");
        assert_eq!(known.caller(&key, now - second), None, "not valid yet, for all we know");
        assert_eq!(known.caller(&fingerprint("b"), now), None);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (known, now) = (KnownTokens::default(), SystemTime::now());
        let caller = caller(now + Duration::from_hours(1));
        for number in 0..PARTS * MOST_IN_PART * 2 {
            known.remember(fingerprint(&number.to_string()), &caller, now);
        }
        assert!(known.parts.iter().all(|part| part.lock().unwrap().len() <= MOST_IN_PART));
    }
}
