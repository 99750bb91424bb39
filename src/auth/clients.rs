//! Who may ask for tokens: OAuth 2 clients with hashed secrets.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::mpsc, thread};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::oneshot;

use super::Scopes;
use crate::config::Secret;

/// Requests that may wait for their verification.
const MAX_WAITING: usize = 64;

/// The clients of `/token`.
#[derive(Debug)]
pub struct Clients {
    by_id: BTreeMap<String, Client>,
    /// The hash that an unknown client's secret is compared with: the one that takes longest.
    decoy: Option<String>,
    verifications: mpsc::SyncSender<Verification>,
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) secret_hash: String,
    pub(super) scopes: Scopes,
}

/// A secret to be compared with a hash.
#[derive(Debug)]
struct Verification {
    hash: String,
    secret: Secret,
    verified: oneshot::Sender<bool>,
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
        let decoy = by_id.values().map(|client| &client.secret_hash).max_by_key(|hash| cost(hash)).cloned();
        // One at a time, on a thread of its own: each takes a core for some 20 ms, which must not be those of the
        // predictions, and 19 MiB, which the allocator would keep for each thread that it was done on.
        let (verifications, waiting) = mpsc::sync_channel::<Verification>(MAX_WAITING);
        let thread = thread::Builder::new().name("clients".to_owned()).spawn(move || {
            for Verification { hash, secret, verified } in waiting {
                // Whoever asked may be gone.
                let _ = verified.send(verify(&hash, secret.expose()));
            }
        });
        if let Err(error) = thread {
            tracing::error!(%error, "the thread that verifies clients cannot be started: none will get a token");
        }
        Self { by_id, decoy, verifications }
    }

    /// Whether there is nobody who could ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The scopes of a client that knows its secret.
    ///
    /// An unknown client costs as much time as a wrong secret: a hash is verified either way.
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`], or [`ClientError::Overloaded`] when too many wait.
    pub async fn authenticate(&self, id: &str, secret: Secret) -> Result<Scopes, ClientError> {
        let known = self.by_id.get(id);
        let hash =
            known.map(|client| &client.secret_hash).or(self.decoy.as_ref()).ok_or(ClientError::Invalid)?;
        let (verified, answer) = oneshot::channel();
        let verification = Verification { hash: hash.clone(), secret, verified };
        self.verifications.try_send(verification).map_err(|_| ClientError::Overloaded)?;
        match (known, answer.await) {
            (Some(client), Ok(true)) => Ok(client.scopes.clone()),
            (_, Ok(_)) => Err(ClientError::Invalid),
            (_, Err(_)) => Err(ClientError::Overloaded),
        }
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

/// Memory in KiB, passes and lanes that a hash may ask for: neither so few that it protects nothing, nor so many that
/// one request for a token stops the machine.
const MEMORY_KIB: RangeInclusive<u32> = 4096..=262_144;
const PASSES: RangeInclusive<u32> = 1..=16;
const LANES: RangeInclusive<u32> = 1..=8;

/// About how long it takes to verify a secret against this hash.
fn cost(hash: &str) -> u64 {
    let parameters = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
    parameters.map_or(0, |parameters| u64::from(parameters.m_cost()) * u64::from(parameters.t_cost()))
}

/// What is wrong with a configured hash, if anything.
pub(super) fn objection(hash: &str) -> Option<&'static str> {
    let parsed = PasswordHash::new(hash)
        .ok()
        .filter(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some());
    let Some(parameters) = parsed.and_then(|hash| Params::try_from(&hash).ok()) else {
        return Some("is no argon2id hash: make one with `onnx-gateway hash-secret`");
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

    #[tokio::test]
    async fn only_the_right_secret_of_a_known_client_is_accepted() {
        let clients = clients();
        let ask = |id, secret: &str| clients.authenticate(id, Secret::new(secret.to_owned()));
        assert_eq!(ask("known", "right").await, Ok(Scopes::of_claim("predict")));
        assert_eq!(ask("known", "wrong").await, Err(ClientError::Invalid));
        assert_eq!(ask("unknown", "right").await, Err(ClientError::Invalid));
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let clients = clients();
        let ask = || clients.authenticate("known", Secret::new("right".to_owned()));
        // More at once than may wait, and the one that is being verified.
        let asked: Vec<_> = (0..MAX_WAITING * 2).map(|_| ask()).collect();
        let mut overloaded = 0;
        let mut answers = Vec::new();
        for answer in asked {
            let mut answer = Box::pin(answer);
            // Polled once, so that all have asked before any is awaited.
            match std::future::poll_fn(|context| std::task::Poll::Ready(answer.as_mut().poll(context))).await
            {
                std::task::Poll::Ready(Err(ClientError::Overloaded)) => overloaded += 1,
                std::task::Poll::Ready(other) => panic!("{other:?}"),
                std::task::Poll::Pending => answers.push(answer),
            }
        }
        assert!(overloaded > 0 && answers.len() >= MAX_WAITING, "{overloaded} of {}", MAX_WAITING * 2);
        assert!(answers.remove(0).await.is_ok());
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
