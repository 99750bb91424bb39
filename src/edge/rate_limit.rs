//! Quota of each client address, charged before authentication: a guessed token costs as much as a valid one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{
    body::Body,
    extract::State,
    http::{Extensions, HeaderMap, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use super::{
    error::ApiError,
    peer::{client, peer},
    quota_fields::LEFT_OF_ADDRESS,
};
use crate::{
    config::{QuotaSettings, RateLimitSettings, ServerSettings, TrustedProxy},
    limits::{AddressKey, Exceeded, Peer, SharedStore, replenish_interval},
};

/// The quota of client addresses, shared by all clones.
#[derive(Clone, Debug)]
pub struct AddressLimit {
    config: Arc<GovernorConfig<AddressExtractor, StateInformationMiddleware>>,
    settings: QuotaSettings,
    /// The quota in memory: all of it, or the share of this gateway.
    in_memory: QuotaSettings,
    clients: AddressExtractor,
    /// The server that gateways share; `None` if the quota is kept in memory.
    store: Option<SharedStore>,
}

/// Maximum number of tracked addresses, at about fifty bytes each. With more of them, addresses of one IPv6 site share
/// a quota until the next check.
const MANY_ADDRESSES: usize = 250_000;

impl AddressLimit {
    /// Creates an unused quota; `None` if the number of requests or the period is zero.
    #[must_use]
    pub fn new(
        settings: &RateLimitSettings,
        server: &ServerSettings,
        store: Option<SharedStore>,
    ) -> Option<Self> {
        let trusted = Arc::new(ArcSwap::from_pointee(server.trusted_proxies.clone()));
        let clients = AddressExtractor { trusted, are_many: Arc::default() };
        let in_memory = in_memory(settings, store.as_ref());
        let config = GovernorConfigBuilder::default()
            .period(replenish_interval(&in_memory))
            .burst_size(in_memory.requests)
            .key_extractor(clients.clone())
            // For `RateLimit`, which tells what is left.
            .use_headers()
            .finish()?;
        let settings = settings.per_address.clone();
        Some(Self { config: Arc::new(config), settings, in_memory, clients, store })
    }

    /// Applies new settings: keeps this quota, as far as it is used, unless the quota settings differ.
    #[must_use]
    pub fn with_settings(
        &self,
        settings: &RateLimitSettings,
        server: &ServerSettings,
        store: Option<SharedStore>,
    ) -> Option<Self> {
        if self.settings != settings.per_address || self.in_memory != in_memory(settings, store.as_ref()) {
            return Self::new(settings, server, store);
        }
        self.clients.trusted.store(Arc::new(server.trusted_proxies.clone()));
        Some(Self { store, ..self.clone() })
    }

    /// Returns this quota, if it is kept in a server.
    pub(crate) fn in_server(&self) -> Option<Self> {
        self.store.as_ref().map(|_| self.clone())
    }

    /// Returns this quota, if it is kept in memory.
    pub(crate) fn in_memory(&self) -> Option<&Self> {
        self.store.is_none().then_some(self)
    }

    /// Returns the layer that charges this quota.
    pub(crate) fn layer(&self) -> GovernorLayer<AddressExtractor, StateInformationMiddleware, Body> {
        let quota = self.settings.clone();
        let refused = move |error| {
            ApiError::AddressQuota(Exceeded { wait: wait(&error), quota: quota.clone() }).into_response()
        };
        GovernorLayer::new(Arc::clone(&self.config)).error_handler(refused)
    }

    /// Returns the client that a request with these extensions and headers is charged to.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> AddressKey {
        self.clients.key(peer(extensions), headers)
    }

    /// Returns the client that a request from this address with these headers is charged to.
    pub(crate) fn client_of(&self, peer: Peer, headers: &HeaderMap) -> AddressKey {
        self.clients.key(peer, headers)
    }

    /// Returns the quota of each address.
    #[must_use]
    pub fn settings(&self) -> &QuotaSettings {
        &self.settings
    }

    /// Charges a request where the quota is kept. Returns the number of requests that are left.
    ///
    /// # Errors
    ///
    /// [`ApiError::AddressQuota`] if the quota is used up.
    pub(crate) async fn charge(&self, client: &AddressKey) -> Result<u32, ApiError> {
        match &self.store {
            Some(store) => match store.charge_address(client, &self.settings).await {
                Some(charged) => charged.map_err(|wait| self.refusal(wait)),
                None => self.charge_now(client),
            },
            None => self.charge_now(client),
        }
    }

    fn refusal(&self, wait: Duration) -> ApiError {
        ApiError::AddressQuota(Exceeded { wait, quota: self.settings.clone() })
    }

    /// Charges a request in memory that does not pass the layer: one message of a stream, or one on the fast path. Returns
    /// the number of requests that are left.
    ///
    /// # Errors
    ///
    /// [`ApiError::AddressQuota`] if the quota is used up.
    pub(crate) fn charge_now(&self, client: &AddressKey) -> Result<u32, ApiError> {
        match self.config.limiter().check_key(client) {
            Ok(snapshot) => Ok(snapshot.remaining_burst_capacity()),
            Err(refused) => Err(self.refusal(refused.wait_time_from(DefaultClock::default().now()))),
        }
    }

    /// Drops addresses whose quota is full again.
    pub fn release_idle(&self) {
        self.config.limiter().retain_recent();
        self.config.limiter().shrink_to_fit();
        self.clients.are_many.store(self.len() > MANY_ADDRESSES, Ordering::Relaxed);
    }

    /// Returns the number of tracked addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.config.limiter().len()
    }

    /// Returns true if no address is tracked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.config.limiter().is_empty()
    }
}

/// Returns the quota that one gateway has in memory.
fn in_memory(settings: &RateLimitSettings, store: Option<&SharedStore>) -> QuotaSettings {
    settings.per_address.part(store.map_or(1, |_| settings.replicas))
}

/// Charges a request to a quota that is kept in a server, as middleware.
pub(super) async fn charge_in_server(
    State(limit): State<AddressLimit>,
    request: Request<Body>,
    next: Next,
) -> Result<Response, ApiError> {
    let client = limit.client(request.extensions(), request.headers());
    let left = limit.charge(&client).await?;
    let mut response = next.run(request).await;
    response.headers_mut().insert(LEFT_OF_ADDRESS, left.into());
    Ok(response)
}

/// Extractor of the client that a request is charged to.
#[derive(Clone, Debug)]
pub(crate) struct AddressExtractor {
    /// Trusted proxies, which may change while the quotas remain.
    trusted: Arc<ArcSwap<Vec<TrustedProxy>>>,
    are_many: Arc<AtomicBool>,
}

impl AddressExtractor {
    fn key(&self, peer: Peer, headers: &HeaderMap) -> AddressKey {
        let key = client(peer, headers, &self.trusted.load());
        if self.are_many.load(Ordering::Relaxed) { key.of_site() } else { key }
    }
}

impl KeyExtractor for AddressExtractor {
    type Key = AddressKey;

    fn extract<B>(&self, request: &Request<B>) -> Result<AddressKey, GovernorError> {
        Ok(self.key(peer(request.extensions()), request.headers()))
    }
}

fn wait(error: &GovernorError) -> Duration {
    match error {
        // The library rounds the wait down to whole seconds.
        GovernorError::TooManyRequests { wait_time, .. } => {
            Duration::from_secs(*wait_time) + Duration::from_millis(1)
        }
        GovernorError::UnableToExtractKey | GovernorError::Other { .. } => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_whose_quota_is_full_again_are_forgotten() {
        let limit = |requests, period_seconds| {
            let per_address = QuotaSettings { requests, period_seconds };
            let settings = RateLimitSettings { per_address, ..RateLimitSettings::default() };
            AddressLimit::new(&settings, &ServerSettings::default(), None).unwrap()
        };
        let charge = |limit: &AddressLimit, last: u8| {
            let address = AddressKey::from(IpAddr::from([192, 0, 2, last]));
            limit.config.limiter().check_key(&address).unwrap();
        };
        // A quota that is full again a nanosecond later, and one that is not for an hour.
        let (short, long) = (limit(1_000_000_000, 1), limit(1, 3600));
        for last in 0..100 {
            charge(&short, last);
            charge(&long, last);
        }
        assert_eq!((short.len(), long.len()), (100, 100));
        short.release_idle();
        long.release_idle();
        assert_eq!((short.len(), long.len()), (0, 100));
        assert!(short.is_empty());
    }

    #[test]
    fn where_there_are_too_many_addresses_those_of_a_site_share_a_quota() {
        let per_address = QuotaSettings { requests: 1, period_seconds: 3600 };
        let settings = RateLimitSettings { per_address, ..RateLimitSettings::default() };
        let limit = AddressLimit::new(&settings, &ServerSettings::default(), None).unwrap();
        let key = |network: u16| {
            let peer = IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 1]).into();
            limit.client_of(peer, &HeaderMap::new())
        };
        assert_ne!(key(1), key(2));
        for network in 0..=u32::try_from(MANY_ADDRESSES).unwrap() {
            let address = Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(network) << 64));
            limit.charge_now(&IpAddr::V6(address).into()).unwrap();
        }
        limit.release_idle();
        assert_eq!(key(1), key(2));
    }
}
