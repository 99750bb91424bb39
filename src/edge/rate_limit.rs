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
    http::{Extensions, HeaderMap, Request},
    response::IntoResponse,
};
use governor::{
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use super::{
    error::ApiError,
    peer::{client, peer},
};
use crate::{
    config::{QuotaSettings, ServerSettings, TrustedProxy},
    limits::{AddressKey, Exceeded, Peer, replenish_interval},
};

/// The quota of client addresses, shared by all clones.
#[derive(Clone, Debug)]
pub struct AddressLimit {
    config: Arc<GovernorConfig<AddressExtractor, NoOpMiddleware>>,
    settings: QuotaSettings,
    clients: AddressExtractor,
}

/// Maximum number of tracked addresses, at about fifty bytes each. With more of them, addresses of one IPv6 site share
/// a quota until the next check.
const MANY_ADDRESSES: usize = 250_000;

impl AddressLimit {
    /// Creates an unused quota; `None` if the number of requests or the period is zero.
    #[must_use]
    pub fn new(settings: &QuotaSettings, server: &ServerSettings) -> Option<Self> {
        let trusted = Arc::new(ArcSwap::from_pointee(server.trusted_proxies.clone()));
        let clients = AddressExtractor { trusted, are_many: Arc::default() };
        let config = GovernorConfigBuilder::default()
            .period(replenish_interval(settings))
            .burst_size(settings.requests)
            .key_extractor(clients.clone())
            .finish()?;
        Some(Self { config: Arc::new(config), settings: settings.clone(), clients })
    }

    /// Applies new settings: keeps this quota, as far as it is used, unless the quota settings differ.
    #[must_use]
    pub fn with_settings(&self, settings: &QuotaSettings, server: &ServerSettings) -> Option<Self> {
        if self.settings != *settings {
            return Self::new(settings, server);
        }
        self.clients.trusted.store(Arc::new(server.trusted_proxies.clone()));
        Some(self.clone())
    }

    /// Returns the layer that charges this quota.
    pub(crate) fn layer(&self) -> GovernorLayer<AddressExtractor, NoOpMiddleware, Body> {
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

    /// Charges a request that does not pass the layer: one message of a stream, or one on the fast path.
    ///
    /// # Errors
    ///
    /// [`ApiError::AddressQuota`] if the quota is used up.
    pub(crate) fn charge(&self, client: &AddressKey) -> Result<(), ApiError> {
        self.config.limiter().check_key(client).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            ApiError::AddressQuota(Exceeded { wait, quota: self.settings.clone() })
        })
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
            AddressLimit::new(&QuotaSettings { requests, period_seconds }, &ServerSettings::default())
                .unwrap()
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
        let quota = QuotaSettings { requests: 1, period_seconds: 3600 };
        let limit = AddressLimit::new(&quota, &ServerSettings::default()).unwrap();
        let key = |network: u16| {
            let peer = IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 1]).into();
            limit.client_of(peer, &HeaderMap::new())
        };
        assert_ne!(key(1), key(2));
        for network in 0..=u32::try_from(MANY_ADDRESSES).unwrap() {
            let address = Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(network) << 64));
            limit.charge(&IpAddr::V6(address).into()).unwrap();
        }
        limit.release_idle();
        assert_eq!(key(1), key(2));
    }
}
