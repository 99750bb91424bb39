//! The limits of a listener's connections.

use std::{sync::Arc, time::Duration};

use super::{connection_table::Room, descriptors::Descriptors};
use crate::{
    config::{ServerSettings, TrustedProxy},
    limits::AddressBuckets,
};

/// The limits of connections.
#[derive(Clone, Debug)]
pub(super) struct ListenerLimits {
    pub(super) room: Room,
    pub(super) proxies: Arc<[TrustedProxy]>,
    /// True if the proxies begin connections with a header of the PROXY protocol.
    pub(super) proxy_protocol: bool,
    /// The quota of TLS handshakes; `None` without one.
    pub(super) handshakes: Option<Arc<AddressBuckets>>,
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) least_rate: u64,
}

impl ListenerLimits {
    pub(super) fn of(
        settings: &ServerSettings,
        descriptors: Descriptors,
        handshakes: Option<Arc<AddressBuckets>>,
    ) -> Self {
        Self {
            room: Room {
                most: descriptors.connections(settings.max_connections),
                most_per_address: settings.max_connections_per_address,
            },
            proxies: settings.trusted_proxies.clone().into(),
            proxy_protocol: settings.proxy_protocol,
            handshakes,
            header_timeout: Duration::from_millis(settings.header_timeout_ms),
            write_timeout: Duration::from_millis(settings.write_timeout_ms),
            least_rate: settings.min_response_bytes_per_second,
        }
    }
}
