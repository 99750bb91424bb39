//! Who may ask for tokens: OAuth 2 clients with hashed secrets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::Scopes;

/// Verifications at a time. Each takes a core for some 20 ms and 19 MiB: they must not starve predictions.
const CONCURRENT_VERIFICATIONS: usize = 1;

/// Requests that may wait for their verification.
const MAX_WAITING: usize = 64;

/// The clients of `/token`.
#[derive(Debug)]
pub struct Clients {
    by_id: BTreeMap<String, Client>,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) secret_hash: String,
    pub(super) scopes: Scopes,
}

/// Why a client is given no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The id or the secret is wrong; which of them is not told.
    #[error("unknown client or wrong secret")]
    Invalid,
    /// Too many verifications wait.
    #[error("too many clients ask for tokens")]
    Overloaded,
}

impl Clients {
    pub(super) fn new(by_id: BTreeMap<String, Client>) -> Self {
        let slots = Arc::new(Semaphore::new(CONCURRENT_VERIFICATIONS));
        Self { by_id, slots, waiting: AtomicUsize::new(0) }
    }

    /// Whether there is nobody who could ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The scopes of a client that knows its secret.
    ///
    /// An unknown client costs the same time as a wrong secret: a hash is verified either way.
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`], or [`ClientError::Overloaded`] when too many wait.
    pub async fn authenticate(&self, id: &str, secret: String) -> Result<Scopes, ClientError> {
        let known = self.by_id.get(id);
        let client = known.or_else(|| self.by_id.values().next()).ok_or(ClientError::Invalid)?;
        let _place = Place::take(&self.waiting).ok_or(ClientError::Overloaded)?;
        let slots = Arc::clone(&self.slots);
        let permit = slots.acquire_owned().await.map_err(|_| ClientError::Overloaded)?;
        let hash = client.secret_hash.clone();
        let verification = tokio::task::spawn_blocking(move || {
            let verified = verify(&hash, &secret);
            drop(permit);
            verified
        });
        let verified = verification.await.unwrap_or(false);
        match known {
            Some(client) if verified => Ok(client.scopes.clone()),
            _ => Err(ClientError::Invalid),
        }
    }
}

struct Place<'w>(&'w AtomicUsize);

impl<'w> Place<'w> {
    fn take(waiting: &'w AtomicUsize) -> Option<Self> {
        let next = |count: usize| (count < MAX_WAITING).then_some(count + 1);
        waiting.try_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The argon2id hash of a secret with a fresh salt, as a PHC string. Takes some 20 ms.
///
/// # Errors
///
/// When the system gives no random salt.
pub fn hash_secret(secret: &str) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password(secret.as_bytes()).map(|hash| hash.to_string())
}

/// Whether this is the hash of this secret. Takes some 20 ms.
pub(super) fn verify(hash: &str, secret: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

/// What is wrong with a configured hash, if anything.
pub(super) fn objection(hash: &str) -> Option<&'static str> {
    match PasswordHash::new(hash) {
        Ok(hash) if hash.algorithm.as_str() == "argon2id" && hash.hash.is_some() => None,
        _ => Some("is no argon2id hash: make one with `onnx-gateway hash-secret`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Clients {
        let secret_hash = hash_secret("right").unwrap();
        let client = Client { secret_hash, scopes: Scopes::of_claim("predict") };
        Clients::new(BTreeMap::from([("known".to_owned(), client)]))
    }

    #[tokio::test]
    async fn only_the_right_secret_of_a_known_client_is_accepted() {
        let clients = clients();
        let ask = |id, secret: &str| clients.authenticate(id, secret.to_owned());
        assert_eq!(ask("known", "right").await, Ok(Scopes::of_claim("predict")));
        assert_eq!(ask("known", "wrong").await, Err(ClientError::Invalid));
        assert_eq!(ask("unknown", "right").await, Err(ClientError::Invalid));
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let clients = clients();
        let slot = Arc::clone(&clients.slots).acquire_owned().await.unwrap();
        let places: Vec<_> = (0..MAX_WAITING).map(|_| Place::take(&clients.waiting).unwrap()).collect();
        assert_eq!(clients.authenticate("known", "right".to_owned()).await, Err(ClientError::Overloaded));
        drop((slot, places));
        assert!(clients.authenticate("known", "right".to_owned()).await.is_ok());
    }

    #[test]
    fn only_argon2id_hashes_are_accepted() {
        assert_eq!(objection(&hash_secret("x").unwrap()), None);
        for bad in
            ["", "plain text", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"]
        {
            assert!(objection(bad).is_some(), "{bad}");
        }
    }
}
