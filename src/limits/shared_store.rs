//! Quotas in a Redis server, for several gateways together.
//!
//! Each charge is one call of a script, so gateways cannot overtake each other, and the times are those of the server's
//! clock. A charge waits for at most the time limit. After the first failure no charge waits: a task tries the server
//! until it answers again, and until then each gateway counts its own share in its memory.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{runtime::Handle, task::JoinHandle, time};

use super::AddressKey;
use crate::{
    config::{QuotaSettings, QuotaStore},
    telemetry::{Metrics, QuotaStoreFailure},
};

/// The script of a charge.
const CHARGE: &str = include_str!("gcra.lua");

/// The beginning of every key.
const PREFIX: &str = "onnx-gateway:quota";

/// Time limit of a connection attempt. No request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Pauses between two tries of a server that has failed: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A Redis server with quotas; cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedStore(Arc<Server>);

struct Server {
    store: QuotaStore,
    connection: ConnectionManager,
    script: Arc<Script>,
    timeout: Duration,
    /// The runtime of the connection. Those of requests may be busy with a model when a reply arrives.
    runtime: Handle,
    /// False while charges are counted in memory.
    is_up: AtomicBool,
    metrics: Arc<Metrics>,
}

/// The outcome of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// Taken; with the units that are left.
    Taken(u32),
    /// Not taken; with the time until there are enough.
    Refused(Duration),
}

/// A bucket in the server, the same for every gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket(String);

impl Bucket {
    /// Returns the bucket of a client with a quota. The client is hashed, so that the server holds no names or addresses.
    pub(super) fn new(kind: &str, quota: &QuotaSettings, client: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for part in client {
            // With their lengths, so that no two clients have the same bytes.
            bytes.extend_from_slice(&part.len().to_be_bytes());
            bytes.extend_from_slice(part);
        }
        let hash = digest(&SHA256, &bytes);
        let mut name = format!("{PREFIX}:{kind}:{}/{}:", quota.requests, quota.period_seconds);
        for byte in hash.as_ref().iter().take(16) {
            for digit in [byte >> 4, byte & 15] {
                name.push(char::from_digit(digit.into(), 16).unwrap_or_default());
            }
        }
        Self(name)
    }
}

impl SharedStore {
    /// Connects to a server in the background; `None` if quotas are kept in memory.
    ///
    /// # Errors
    ///
    /// If the URL cannot be used.
    pub fn connect(
        store: &QuotaStore,
        timeout: Duration,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, redis::RedisError> {
        let Some(url) = store.url() else { return Ok(None) };
        let client = Client::open(url.expose())?;
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            // Without it, the time limit of a connection attempt would be that of a response.
            .set_response_timeout(Some(timeout))
            // The task below tries again.
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        let server = Server {
            store: store.clone(),
            connection,
            script: Arc::new(Script::new(CHARGE)),
            timeout,
            runtime,
            is_up: AtomicBool::new(true),
            metrics: Arc::clone(metrics),
        };
        let shared = Self(Arc::new(server));
        metrics.set_quota_store_up(true);
        // Before the first request, which need not wait for the connection then.
        let first = shared.clone();
        shared.0.runtime.spawn(async move { first.0.try_once().await });
        Ok(Some(shared))
    }

    /// Returns true if this is the server of these settings.
    #[must_use]
    pub fn is_of(&self, store: &QuotaStore, timeout: Duration) -> bool {
        self.0.store == *store && self.0.timeout == timeout
    }

    /// Charges a request of an address and returns those that are left, or the time to wait. `None` if the server cannot be
    /// asked.
    pub async fn charge_address(
        &self,
        client: &AddressKey,
        quota: &QuotaSettings,
    ) -> Option<Result<u32, Duration>> {
        let address = client.ip().to_string();
        let bucket = Bucket::new("address", quota, &[address.as_bytes()]);
        match self.charge(&bucket, quota, 1).await? {
            Charge::Taken(left) => Some(Ok(left)),
            Charge::Refused(wait) => Some(Err(wait)),
        }
    }

    /// Charges a number of units; `None` if the server cannot be asked, so they have to be charged in memory.
    pub(super) async fn charge(&self, bucket: &Bucket, quota: &QuotaSettings, units: u32) -> Option<Charge> {
        if !self.0.is_up.load(Ordering::Relaxed) {
            return None;
        }
        self.0.charge(bucket, quota, units).await.inspect_err(|failure| self.0.fail(failure)).ok()
    }
}

/// A charge that the server did not answer in time, or refused.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it did not answer within rate_limit.store_timeout_ms")]
    TooSlow,
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
    #[error("the task of the charge failed")]
    Task,
}

impl Failure {
    fn kind(&self) -> QuotaStoreFailure {
        match self {
            Self::TooSlow => QuotaStoreFailure::Timeout,
            Self::Redis(error) if error.is_timeout() => QuotaStoreFailure::Timeout,
            Self::Redis(error) if error.is_io_error() => QuotaStoreFailure::Connection,
            Self::Redis(_) | Self::Task => QuotaStoreFailure::Refused,
        }
    }
}

type Reply = Result<(i64, i64, i64), redis::RedisError>;

impl Server {
    async fn charge(&self, bucket: &Bucket, quota: &QuotaSettings, units: u32) -> Result<Charge, Failure> {
        let reply = time::timeout(self.timeout, self.ask(bucket, quota, units)).await;
        let reply = reply.map_err(|_| Failure::TooSlow)?.map_err(|_| Failure::Task)?;
        let (is_taken, left, wait) = reply?;
        Ok(if is_taken == 1 {
            Charge::Taken(u32::try_from(left).unwrap_or_default())
        } else {
            Charge::Refused(Duration::from_micros(u64::try_from(wait).unwrap_or_default()))
        })
    }

    fn ask(&self, bucket: &Bucket, quota: &QuotaSettings, units: u32) -> JoinHandle<Reply> {
        let (script, mut connection, key) =
            (Arc::clone(&self.script), self.connection.clone(), bucket.0.clone());
        let QuotaSettings { requests, period_seconds } = *quota;
        self.runtime.spawn(async move {
            let mut call = script.key(key);
            call.arg(units).arg(requests).arg(period_seconds.saturating_mul(1_000_000));
            call.invoke_async(&mut connection).await
        })
    }

    /// Asks for a bucket without a client, and charges nothing. Returns true if the server answers.
    async fn try_once(self: &Arc<Self>) -> bool {
        let quota = QuotaSettings { requests: 1, period_seconds: 1 };
        let tried = self.charge(&Bucket::new("trial", &quota, &[]), &quota, 0).await;
        tried.inspect_err(|failure| self.fail(failure)).is_ok()
    }

    /// Counts a failure. After the first, charges are counted in memory until the server answers again.
    fn fail(self: &Arc<Self>, failure: &Failure) {
        self.metrics.quota_store_failed(failure.kind());
        if self.is_up.swap(false, Ordering::Relaxed) {
            let store = self.store.shown();
            tracing::warn!(store, %failure, "failed to charge a shared quota: each gateway counts its own share until it answers");
            self.metrics.set_quota_store_up(false);
            self.runtime.spawn(heal(Arc::downgrade(self)));
        }
    }
}

/// Tries a server until it answers, or the settings name another.
async fn heal(server: Weak<Server>) {
    let mut pause = FIRST_PAUSE;
    loop {
        // At other times than other gateways.
        time::sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
        let Some(server) = server.upgrade() else { return };
        if server.try_once().await {
            server.is_up.store(true, Ordering::Relaxed);
            server.metrics.set_quota_store_up(true);
            tracing::info!(store = server.store.shown(), "shared quotas are charged again");
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_the_same_for_every_gateway_and_another_for_each_client_and_quota() {
        let quota = QuotaSettings { requests: 100, period_seconds: 60 };
        let bucket = |client: &[&str]| {
            let parts: Vec<&[u8]> = client.iter().map(|part| part.as_bytes()).collect();
            Bucket::new("caller", &quota, &parts).0
        };
        let expected = "onnx-gateway:quota:caller:100/60:";
        assert!(bucket(&["issuer", "a"]).starts_with(expected), "{}", bucket(&["issuer", "a"]));
        assert_eq!(bucket(&["issuer", "a"]).len(), expected.len() + 32);
        assert_eq!(bucket(&["issuer", "a"]), bucket(&["issuer", "a"]));
        assert_ne!(bucket(&["issuer", "a"]), bucket(&["issue", "ra"]));
        let other = QuotaSettings { requests: 101, ..quota.clone() };
        assert_ne!(Bucket::new("caller", &other, &[b"issuer", b"a"]).0, bucket(&["issuer", "a"]));
        assert!(!bucket(&["issuer", "someone"]).contains("someone"));
    }
}
