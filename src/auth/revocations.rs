//! Revoked tokens: one by its `jti`, or all that a subject got until now.
//!
//! A revocation is remembered until the tokens that it is about have expired anyway. Requests do not look here: a
//! revocation removes its tokens from the caches of verified tokens, and a token is judged again only if no cache has it.

mod file;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use self::file::RevocationFile;
use super::{Caller, known_tokens::KnownTokens};

pub use self::file::RevocationsError;

/// Most revocations at a time, of about 200 bytes each.
const MAX_REVOCATIONS: usize = 100_000;

/// Most of them by clients that revoke their own tokens, so that operators can always revoke.
const MAX_OF_CLIENTS: usize = MAX_REVOCATIONS / 2;

/// The tokens that a revocation is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevokedTokens {
    /// Their issuer (`iss`).
    pub issuer: String,
    /// The part of its tokens that is revoked.
    pub which: Which,
}

/// A token, or all tokens of a subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The token with this `jti`.
    Id(String),
    /// Every token of this `sub` that was issued until the revocation.
    Subject(String),
}

/// The terms of a revocation, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    /// The last second of issue for which a token of the subject is revoked.
    issued_until: u64,
    /// The end of the revocation: the tokens have expired.
    expires: u64,
}

/// The reason why a token could not be revoked: too many are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_REVOCATIONS} revocations are in effect, which is the most")]
pub struct TooManyRevocations;

/// The origin of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// The client whose token it is.
    Client,
    /// A caller that may manage.
    Operator,
}

type Map = HashMap<RevokedTokens, Terms>;

/// The revocations in effect. They survive a restart in a file, which several gateways may share.
#[derive(Debug, Default)]
pub struct Revocations {
    in_effect: RwLock<Map>,
    /// Incremented by each revocation.
    generation: AtomicU64,
    /// Caches that may have tokens that are revoked later.
    caches: Mutex<Vec<Weak<KnownTokens>>>,
    /// True if the file lacks revocations.
    is_ahead: AtomicBool,
    /// `None` if revocations end with the process.
    file: Option<Mutex<RevocationFile>>,
}

impl Revocations {
    /// Reads the revocations of this file. It is created by the first revocation.
    ///
    /// # Errors
    ///
    /// If there is a file that is not one of revocations: without them, revoked tokens would be valid again.
    pub fn open(path: PathBuf) -> Result<Self, RevocationsError> {
        let (file, found) = RevocationFile::open(path)?;
        Ok(Self { in_effect: RwLock::new(found), file: Some(Mutex::new(file)), ..Self::default() })
    }

    /// Revokes tokens. They are refused at once; [`save`](Self::save) makes that survive a restart.
    ///
    /// # Errors
    ///
    /// [`TooManyRevocations`]. None is forgotten to make room.
    pub fn revoke(
        &self,
        tokens: RevokedTokens,
        by: RevokedBy,
        now: SystemTime,
        expires: SystemTime,
    ) -> Result<(), TooManyRevocations> {
        let terms = Terms { issued_until: seconds(now), expires: seconds(expires).saturating_add(1) };
        {
            let mut in_effect = self.write();
            let most = if by == RevokedBy::Client { MAX_OF_CLIENTS } else { MAX_REVOCATIONS };
            if in_effect.len() >= most {
                forget_expired(&mut in_effect, now);
            }
            if in_effect.len() >= most && !in_effect.contains_key(&tokens) {
                return Err(TooManyRevocations);
            }
            merge(&mut in_effect, tokens, terms);
        }
        self.is_ahead.store(true, Ordering::SeqCst);
        self.take_effect();
        Ok(())
    }

    /// Returns true if the token of this caller is revoked.
    pub(super) fn cover(&self, caller: &Caller) -> bool {
        // None was ever revoked, or read.
        let in_effect = self.read();
        if in_effect.is_empty() {
            return false;
        }
        let terms = |which| in_effect.get(&RevokedTokens { issuer: caller.issuer.clone(), which });
        caller.token_id().is_some_and(|id| terms(Which::Id(id.to_owned())).is_some())
            || terms(Which::Subject(caller.subject.clone())).is_some_and(|terms| {
                // A token that does not say when it was issued may be an old one.
                caller.issued().is_none_or(|issued| issued <= terms.issued_until)
            })
    }

    /// Returns a number that changes with each revocation.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Removes revoked tokens from this cache from now on.
    pub(super) fn watch(&self, cache: Weak<KnownTokens>) {
        let mut caches = lock(&self.caches);
        caches.retain(|cache| cache.strong_count() > 0);
        caches.push(cache);
    }

    /// Writes the revocations that are not in the file yet, and waits until they are on the disk. Blocks.
    ///
    /// # Errors
    ///
    /// If the file cannot be written. [`follow`](Self::follow) tries again.
    pub fn save(&self, now: SystemTime) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut file = lock(file);
        // Of several that wait, the first writes the revocations of all.
        if !self.is_ahead.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let mut in_effect = self.read().clone();
        let outcome = file.write(&mut in_effect, now);
        if outcome.is_err() {
            self.is_ahead.store(true, Ordering::SeqCst);
        }
        file.report(outcome.as_ref().err());
        drop(file);
        self.add(in_effect, now);
        outcome
    }

    /// Reads what other gateways have revoked, forgets what has expired, and writes what could not be written before.
    /// Blocks.
    pub fn follow(&self, now: SystemTime) {
        forget_expired(&mut self.write(), now);
        let Some(file) = &self.file else { return };
        let found = lock(file).read_changes();
        self.add(found, now);
        // A failure is logged once, and tried again.
        let _ = self.save(now);
    }

    /// Adds revocations of other gateways.
    fn add(&self, mut found: Map, now: SystemTime) {
        forget_expired(&mut found, now);
        let mut has_new = false;
        if !found.is_empty() {
            let mut in_effect = self.write();
            for (tokens, terms) in found {
                has_new |= merge(&mut in_effect, tokens, terms);
            }
        }
        if has_new {
            self.take_effect();
        }
    }

    /// Makes every cache forget the tokens that are revoked by now. A token that is judged meanwhile sees another
    /// generation afterwards.
    fn take_effect(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        let caches: Vec<_> = lock(&self.caches).iter().filter_map(Weak::upgrade).collect();
        for cache in caches {
            cache.forget_if(|caller| self.cover(caller));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.in_effect.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.in_effect.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a revocation, or extends one. Returns true if that changed anything.
fn merge(map: &mut Map, tokens: RevokedTokens, terms: Terms) -> bool {
    let merged = map.get(&tokens).map_or(terms, |known| Terms {
        issued_until: known.issued_until.max(terms.issued_until),
        expires: known.expires.max(terms.expires),
    });
    map.insert(tokens, merged) != Some(merged)
}

fn forget_expired(map: &mut Map, now: SystemTime) {
    let now = seconds(now);
    map.retain(|_, terms| terms.expires > now);
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, time::Duration};

    use super::*;
    use crate::auth::Scopes;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn caller(id: Option<&str>, issued: Option<u64>) -> Caller {
        let caller = Caller::new("issuer".to_owned(), "ann".to_owned(), Scopes::default(), None);
        caller.of_token(id.map(Arc::from), issued)
    }

    fn tokens(which: Which) -> RevokedTokens {
        RevokedTokens { issuer: "issuer".to_owned(), which }
    }

    fn revoke(revocations: &Revocations, which: Which, expires: u64) {
        revocations.revoke(tokens(which), RevokedBy::Operator, at(100), at(expires)).unwrap();
    }

    #[test]
    fn a_token_is_revoked_by_its_id_or_with_all_of_its_subject() {
        let revocations = Revocations::default();
        assert!(!revocations.cover(&caller(Some("a"), Some(1))));
        revoke(&revocations, Which::Id("a".to_owned()), 200);
        assert!(revocations.cover(&caller(Some("a"), Some(1))));
        assert!(!revocations.cover(&caller(Some("b"), Some(1))));
        assert!(!revocations.cover(&caller(None, None)));
        revoke(&revocations, Which::Subject("ann".to_owned()), 200);
        for (issued, expected) in [(Some(1), true), (Some(100), true), (Some(101), false), (None, true)] {
            assert_eq!(revocations.cover(&caller(Some("b"), issued)), expected, "{issued:?}");
        }
        let of_another = Caller::new("other".to_owned(), "ann".to_owned(), Scopes::default(), None);
        assert!(!revocations.cover(&of_another.of_token(Some("a".into()), Some(1))), "of another issuer");
        revocations.follow(at(200));
        assert!(revocations.cover(&caller(Some("a"), Some(1))), "not before the token has expired");
        revocations.follow(at(201));
        assert!(!revocations.cover(&caller(Some("a"), Some(1))));
    }

    #[test]
    fn a_cache_forgets_what_is_revoked_and_nothing_else() {
        let (revocations, cache) = (Revocations::default(), Arc::new(KnownTokens::default()));
        revocations.watch(Arc::downgrade(&cache));
        for id in [1, 2] {
            let caller = Arc::new(caller(Some(&id.to_string()), Some(1)));
            cache.remember([id; 32], &caller, None, at(1));
        }
        revoke(&revocations, Which::Id("1".to_owned()), 200);
        assert!(cache.caller(&[1; 32], at(2)).is_none() && cache.caller(&[2; 32], at(2)).is_some());
    }

    #[test]
    fn too_many_are_refused_and_none_is_forgotten() {
        let revocations = Revocations::default();
        let by =
            |id: usize, by, now| revocations.revoke(tokens(Which::Id(id.to_string())), by, at(now), at(200));
        for id in 0..MAX_OF_CLIENTS {
            by(id, RevokedBy::Client, 100).unwrap();
        }
        assert_eq!(by(MAX_OF_CLIENTS, RevokedBy::Client, 100), Err(TooManyRevocations));
        assert_eq!(by(0, RevokedBy::Client, 100), Ok(()), "again");
        by(MAX_OF_CLIENTS, RevokedBy::Operator, 100).unwrap();
        assert!(revocations.cover(&caller(Some("0"), None)));
        by(MAX_OF_CLIENTS + 1, RevokedBy::Client, 300).unwrap();
        assert!(!revocations.cover(&caller(Some("0"), None)), "it has expired, and gave way");
    }

    #[test]
    fn revocations_survive_a_restart_and_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = || folder.path().join("state/revocations.json");
        let (one, other) = (Revocations::open(path()).unwrap(), Revocations::open(path()).unwrap());
        revoke(&one, Which::Id("a".to_owned()), 200);
        one.save(at(100)).unwrap();
        assert!(!other.cover(&caller(Some("a"), None)));
        other.follow(at(100));
        assert!(other.cover(&caller(Some("a"), None)), "another gateway follows");
        // Each adds to what the other wrote.
        revoke(&other, Which::Subject("ann".to_owned()), 200);
        other.save(at(100)).unwrap();
        revoke(&one, Which::Id("b".to_owned()), 200);
        one.save(at(100)).unwrap();
        let restarted = Revocations::open(path()).unwrap();
        for (caller, covered) in [
            (caller(Some("a"), Some(101)), true),
            (caller(Some("b"), Some(101)), true),
            (caller(Some("c"), Some(100)), true),
            (caller(Some("c"), Some(101)), false),
        ] {
            assert_eq!(restarted.cover(&caller), covered, "{caller:?}");
        }
        revoke(&one, Which::Id("d".to_owned()), 400);
        one.save(at(300)).unwrap();
        let text = fs::read_to_string(path()).unwrap();
        assert!(text.contains("\"d\"") && !text.contains("\"a\""), "what has expired is not kept: {text}");
        fs::write(path(), "{").unwrap();
        let error = Revocations::open(path()).unwrap_err().to_string();
        assert!(error.contains("revocations.json"), "{error}");
    }

    #[test]
    fn what_cannot_be_written_is_in_effect_and_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::write(&state, "a file, where a folder should be").unwrap();
        let revocations = Revocations::open(state.join("revocations.json")).unwrap();
        revoke(&revocations, Which::Id("a".to_owned()), 200);
        revocations.save(at(100)).unwrap_err();
        assert!(revocations.cover(&caller(Some("a"), None)));
        revocations.follow(at(100));
        fs::remove_file(&state).unwrap();
        revocations.follow(at(100));
        let restarted = Revocations::open(state.join("revocations.json")).unwrap();
        assert!(restarted.cover(&caller(Some("a"), None)));
    }
}
