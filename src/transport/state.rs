//! What handlers and layers share.

use std::{fmt, future::pending, net::IpAddr, ops::Deref, sync::Arc, time::SystemTime};

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;
use tokio::sync::watch;

use super::rate_limit::{client, peer};
use crate::{
    auth::Authentication,
    limits::{AddressKey, CallerQuota, FailedTokens, LogIns},
    serving::Serving,
    system::byte_budget::ByteBudget,
    telemetry::Metrics,
};

/// Shared by all requests; cheap to clone, as each layer has one.
#[derive(Clone, Debug)]
pub struct TransportState(Arc<TransportParts>);

/// What it consists of.
#[derive(Debug)]
pub struct TransportParts {
    /// The models.
    pub serving: Arc<Serving>,
    /// Who calls.
    pub authentication: Arc<Authentication>,
    /// How often each caller may; nothing when rate limits are off.
    pub caller_quota: Option<Arc<CallerQuota>>,
    /// The memory that requests may take together.
    pub byte_budget: Arc<ByteBudget>,
    /// The quota of bad tokens by address; `None` if rate limits are off.
    pub failed_tokens: Option<Arc<FailedTokens>>,
    /// Verifies clients that ask for tokens.
    pub log_ins: Arc<LogIns>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether a line of the log says of each answer that it was given.
    pub has_access_log: bool,
    /// What time it is.
    pub clock: Clock,
}

impl From<TransportParts> for TransportState {
    fn from(parts: TransportParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for TransportState {
    type Target = TransportParts;

    fn deref(&self) -> &TransportParts {
        &self.0
    }
}

impl TransportParts {
    /// The client that a request with these comes from.
    pub(crate) fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> AddressKey {
        self.address_of(peer(extensions), headers)
    }

    /// The same, of a request that comes from this address and has these headers.
    pub(crate) fn address_of(&self, peer: Peer, headers: &HeaderMap) -> AddressKey {
        client(peer, headers, &self.trusted_proxies)
    }
}

/// The address that a connection comes from: an extension of each request, put there by the listener.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The end of the gateway, as answers that would go on learn of it: an extension of each request, put there by the
/// listener.
#[derive(Clone, Debug)]
pub struct Ending(watch::Receiver<bool>);

impl Ending {
    /// It has begun when this says so.
    #[must_use]
    pub fn new(begun: watch::Receiver<bool>) -> Self {
        Self(begun)
    }

    /// That of a request: without a listener, there is none.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| Self(watch::channel(false).1))
    }

    /// Waits until it has begun.
    pub(crate) async fn begun(&mut self) {
        if self.0.wait_for(|begun| *begun).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// An extension of answers that have no end of their own, and mostly wait: nobody works for them.
#[derive(Clone, Copy, Debug)]
pub struct OpenEndedAnswer;

/// The time, which tests can move.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Whatever time `now` says it is.
    #[must_use]
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}
