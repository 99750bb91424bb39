//! State shared by handlers and layers.

use std::{fmt, future::pending, net::IpAddr, ops::Deref, sync::Arc, time::SystemTime};

use axum::http::{Extensions, HeaderMap};
use tokio::sync::watch;

use super::{
    activity::Activity,
    open_paths::OpenPaths,
    peer::{client, client_ip, peer},
    protected_resource::ProtectedResource,
    quota_fields::QuotaFields,
};
use crate::{
    auth::{Authentication, Caller},
    config::TrustedProxy,
    limits::{AddressBuckets, AddressKey, LogIns, Peer, RequestQuotas},
    serving::Serving,
    system::byte_budget::ByteBudget,
    telemetry::{AuditLog, Metrics, Traces},
};

/// Shared by all requests; cheap to clone, as each layer has one.
#[derive(Clone, Debug)]
pub struct EdgeState(Arc<EdgeParts>);

/// The contents of the state.
#[derive(Debug)]
pub struct EdgeParts {
    /// The models.
    pub serving: Arc<Serving>,
    /// The caller of every request without authentication.
    pub anonymous: Arc<Caller>,
    /// Authentication of callers.
    pub authentication: Arc<Authentication>,
    /// Quotas of callers and models; `None` if rate limits are off.
    pub quotas: Option<Arc<RequestQuotas>>,
    /// The fields by which responses tell the quotas.
    pub quota_fields: QuotaFields,
    /// The memory that all requests may take together.
    pub byte_budget: Arc<ByteBudget>,
    /// The quota of bad tokens by address; `None` if rate limits are off.
    pub failed_tokens: Option<Arc<AddressBuckets>>,
    /// Verifies clients that request tokens.
    pub log_ins: Arc<LogIns>,
    /// Networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The paths that need no token.
    pub open_paths: OpenPaths,
    /// The gateway by its URL for clients; `None` if it is not set.
    pub protected_resource: Option<ProtectedResource>,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// Traces of requests; `None` without a collector.
    pub traces: Option<Arc<Traces>>,
    /// The audit log.
    pub audit: Arc<AuditLog>,
    /// The activity of the gateway, for streams of events.
    pub activity: Arc<Activity>,
    /// True if every response is logged in the access log.
    pub has_access_log: bool,
    /// The clock.
    pub clock: Clock,
}

impl From<EdgeParts> for EdgeState {
    fn from(parts: EdgeParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for EdgeState {
    type Target = EdgeParts;

    fn deref(&self) -> &EdgeParts {
        &self.0
    }
}

impl EdgeParts {
    /// Returns the client that sent a request with these extensions and headers.
    pub(crate) fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> AddressKey {
        self.address_of(peer(extensions), headers)
    }

    /// Returns the address of the client of a request from this peer with these headers.
    pub(crate) fn client_of(&self, peer: Peer, headers: &HeaderMap) -> IpAddr {
        client_ip(peer, headers, &self.trusted_proxies)
    }

    /// Returns the client of a request from this address with these headers.
    pub(crate) fn address_of(&self, peer: Peer, headers: &HeaderMap) -> AddressKey {
        client(peer, headers, &self.trusted_proxies)
    }
}

/// Signal that the gateway is stopping, for responses that would otherwise go on: an extension of each request, set by
/// the listener.
#[derive(Clone, Debug)]
pub struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Creates the signal; the stop has begun once `begun` is true.
    #[must_use]
    pub fn new(begun: watch::Receiver<bool>) -> Self {
        Self(begun)
    }

    /// Returns the signal of a request; one that never fires if no listener has set it.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| Self(watch::channel(false).1))
    }

    /// Waits until the stop has begun.
    pub(crate) async fn begun(&mut self) {
        if self.0.wait_for(|begun| *begun).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// Marks a response that does not end by itself and mostly waits, so it does not count as work in progress.
#[derive(Clone, Copy, Debug)]
pub struct OpenEndedResponse;

/// The time, which tests can move.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Creates a clock whose time is that of `now`.
    #[must_use]
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the time.
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
