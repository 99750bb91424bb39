//! OAuth 2 clients with hashed secrets.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use aws_lc_rs::{hmac, rand::SystemRandom};

use super::Scopes;
use crate::config::Secret;

/// Time for which a verified secret is accepted again without hashing it.
const RECALL_TIME: Duration = Duration::from_mins(5);

/// The clients of `/token`.
#[derive(Debug)]
pub struct Clients {
    by_id: BTreeMap<String, Client>,
    /// The client with the most expensive hash. The secret of an unknown client is compared with it, to take as long.
    decoy: Option<Client>,
    verified: Option<Verified>,
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) secret_hash: String,
    pub(super) scopes: Scopes,
}

/// Recently verified secrets, one per client, stored as a keyed hash. The key is random and lives as long as these
/// clients. So a memory dump does not help to guess a secret, and a reload starts empty.
#[derive(Debug)]
struct Verified {
    key: hmac::Key,
    by_id: Mutex<HashMap<String, (hmac::Tag, Instant)>>,
}

impl Clients {
    pub(super) fn new(by_id: BTreeMap<String, Client>) -> Self {
        let decoy = by_id.values().max_by_key(|client| cost(&client.secret_hash)).cloned();
        // Without randomness every secret is verified in full each time.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        let verified = key.map(|key| Verified { key, by_id: Mutex::default() });
        Self { by_id, decoy, verified }
    }

    /// Returns true if there is no client.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Returns the memory in KiB that verifying a secret of this client takes; `None` if there are no clients.
    #[must_use]
    pub fn memory_kib(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).or(self.decoy.as_ref()).map(|client| {
            let hash = PasswordHash::new(&client.secret_hash).ok();
            hash.and_then(|hash| Params::try_from(&hash).ok()).map_or(0, |parameters| parameters.m_cost())
        })
    }

    /// Returns the client's scopes if this secret was verified recently; takes microseconds.
    #[must_use]
    pub fn recall(&self, id: &str, secret: &Secret, now: Instant) -> Option<Scopes> {
        let (client, verified) = (self.by_id.get(id)?, self.verified.as_ref()?);
        let (tag, since) = verified.lock().get(id).copied()?;
        // Constant time: the duration must not reveal where the secrets differ.
        let is_same = hmac::verify(&verified.key, secret.expose().as_bytes(), tag.as_ref()).is_ok();
        (is_same && now.saturating_duration_since(since) < RECALL_TIME).then(|| client.scopes.clone())
    }

    /// Returns the client's scopes if the secret is right. Takes about 20 ms, for an unknown client too: a hash is
    /// verified either way.
    #[must_use]
    pub fn verify(&self, id: &str, secret: &Secret) -> Option<Scopes> {
        let known = self.by_id.get(id);
        let client = known.or(self.decoy.as_ref())?;
        let is_right = verify(&client.secret_hash, secret.expose());
        let known = known.filter(|_| is_right)?;
        if let Some(verified) = &self.verified {
            let tag = hmac::sign(&verified.key, secret.expose().as_bytes());
            verified.lock().insert(id.to_owned(), (tag, Instant::now()));
        }
        Some(known.scopes.clone())
    }
}

impl Verified {
    /// Locks the map, for a look-up or an insertion only.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (hmac::Tag, Instant)>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the argon2id hash of a secret with a fresh salt, as a PHC string. Takes about 20 ms.
///
/// # Errors
///
/// If the system provides no random salt.
pub fn hash_secret(secret: &str) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password(secret.as_bytes()).map(|hash| hash.to_string())
}

/// Returns true if this is the hash of this secret. Takes about 20 ms.
pub(super) fn verify(hash: &str, secret: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

/// Memory in KiB, passes and lanes that a hash may require. Less protects nothing; with more, one token request could
/// stall the machine.
const MEMORY_KIB: RangeInclusive<u32> = 4096..=262_144;
const PASSES: RangeInclusive<u32> = 1..=16;
const LANES: RangeInclusive<u32> = 1..=8;

/// Returns the relative cost of verifying a secret against this hash.
fn cost(hash: &str) -> u64 {
    let parameters = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
    parameters.map_or(0, |parameters| u64::from(parameters.m_cost()) * u64::from(parameters.t_cost()))
}

/// Returns the defect of a configured hash; `None` if it is acceptable.
pub(super) fn objection(hash: &str) -> Option<&'static str> {
    let parsed = PasswordHash::new(hash)
        .ok()
        .filter(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some());
    let Some(parameters) = parsed.and_then(|hash| Params::try_from(&hash).ok()) else {
        return Some("is not an argon2id hash: make one with `onnx-gateway hash-secret`");
    };
    let fits = MEMORY_KIB.contains(&parameters.m_cost())
        && PASSES.contains(&parameters.t_cost())
        && LANES.contains(&parameters.p_cost());
    (!fits).then_some(
        "asks for too little or too much work (m from 4096 to 262144, t to 16, p to 8): make another with \
         `onnx-gateway hash-secret`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Clients {
        let secret_hash = hash_secret("right").unwrap();
        let client = Client { secret_hash, scopes: Scopes::of_claim("predict") };
        Clients::new(BTreeMap::from([("known".to_owned(), client)]))
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn only_the_right_secret_of_a_known_client_is_accepted() {
        let clients = clients();
        assert_eq!(clients.verify("known", &secret("right")), Some(Scopes::of_claim("predict")));
        assert_eq!(clients.verify("known", &secret("wrong")), None);
        assert_eq!(clients.verify("unknown", &secret("right")), None);
    }

    #[test]
    fn a_secret_that_was_verified_is_recalled_for_a_while() {
        let (clients, now) = (clients(), Instant::now());
        let recall = |id, text, now| clients.recall(id, &secret(text), now);
        assert_eq!(recall("known", "right", now), None, "not verified yet");
        assert_eq!(clients.verify("known", &secret("wrong")), None);
        assert_eq!(recall("known", "wrong", now), None, "verified, and wrong");
        assert!(clients.verify("known", &secret("right")).is_some());
        assert_eq!(recall("known", "right", now), Some(Scopes::of_claim("predict")));
        assert_eq!(recall("known", "wrong", now), None);
        assert_eq!(recall("unknown", "right", now), None);
        assert_eq!(recall("known", "right", Instant::now() + RECALL_TIME), None, "too long ago");
    }

    #[test]
    fn no_secret_is_kept() {
        let clients = clients();
        let _ = clients.verify("known", &secret("right"));
        assert!(!format!("{clients:?}").contains("right"));
    }

    #[test]
    fn only_argon2id_hashes_are_accepted() {
        assert_eq!(objection(&hash_secret("x").unwrap()), None);
        for bad in
            ["", "plain text", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"]
        {
            assert!(objection(bad).is_some(), "{bad}");
        }
        let good = hash_secret("x").unwrap();
        for parameters in ["m=64,t=1,p=1", "m=4194304,t=2,p=1", "m=19456,t=99,p=1", "m=19456,t=2,p=99"] {
            let hash = good.replace("m=19456,t=2,p=1", parameters);
            assert!(objection(&hash).is_some_and(|said| said.contains("too much work")), "{hash}");
        }
    }
}
