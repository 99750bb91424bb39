//! The address that a request comes from, and the client behind it.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{Extensions, HeaderMap, HeaderName};

use crate::{
    config::TrustedProxy,
    limits::{AddressKey, Peer, client_address},
};

/// The header in which proxies name the client.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the peer that the listener recorded; requests without one share one bucket.
pub(super) fn peer(extensions: &Extensions) -> Peer {
    extensions.get().copied().unwrap_or_else(|| Peer::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// Returns the client behind a peer that sent these headers.
pub(super) fn client(peer: Peer, headers: &HeaderMap, trusted: &[TrustedProxy]) -> AddressKey {
    client_ip(peer, headers, trusted).into()
}

/// Returns the address of the client behind a peer that sent these headers.
pub(super) fn client_ip(peer: Peer, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    // A header that is not text is not an address either. It must not be skipped: only the part after it is trusted.
    let lines = headers.get_all(FORWARDED_FOR).iter();
    let forwarded = lines.map(|line| line.to_str().unwrap_or_default());
    client_address(peer, forwarded, trusted)
}
