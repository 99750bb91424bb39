//! The client's address behind proxies, and the grouping of addresses into clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::TrustedProxy;

/// The prefix of an IPv6 address that a provider assigns to one customer, who chooses the rest.
const IPV6_PREFIX_BITS: u32 = 64;

/// The prefix of an IPv6 address that a provider assigns to one site, with 65,536 networks of `IPV6_PREFIX_BITS`.
const IPV6_SITE_BITS: u32 = 48;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address; for peers on Unix sockets that of this host.
    pub address: IpAddr,
    /// True if the peer is on a Unix socket.
    pub is_unix: bool,
}

impl Peer {
    /// All peers on Unix sockets.
    pub const UNIX: Self = Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), is_unix: true };

    /// Returns true if the peer is a trusted proxy.
    #[must_use]
    pub fn is_trusted(&self, proxies: &[TrustedProxy]) -> bool {
        if self.is_unix {
            proxies.contains(&TrustedProxy::Unix)
        } else {
            TrustedProxy::any_has(proxies, &self.address)
        }
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), is_unix: false }
    }
}

/// The client that an address belongs to: the IPv4 address, or the IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey(IpAddr);

impl AddressKey {
    /// Returns the address, or the first of the network.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// Returns the site of the address, for when addresses are too numerous to count one by one: the IPv6 /48, or
    /// itself.
    #[must_use]
    pub fn of_site(self) -> Self {
        Self(network(self.0, IPV6_SITE_BITS))
    }
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        Self(network(address.to_canonical(), IPV6_PREFIX_BITS))
    }
}

fn network(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (u128::BITS - bits);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Returns the address of the client behind `peer`.
///
/// `forwarded` are the values of all `X-Forwarded-For` headers in their order. They are read from the right, up to the
/// first address that is not a trusted proxy. Everything left of that may have been written by the client itself.
pub fn client_address<'h>(
    peer: Peer,
    forwarded: impl DoubleEndedIterator<Item = &'h str>,
    trusted: &[TrustedProxy],
) -> IpAddr {
    let mut nearest = peer;
    for value in forwarded.rev().flat_map(|header| header.rsplit(',')) {
        if !nearest.is_trusted(trusted) {
            break;
        }
        // If a proxy wrote something that is not an address, the proxy itself is the last known one.
        let Some(address) = parse(value.trim()) else { break };
        nearest = address.into();
    }
    nearest.address
}

/// Parses an address as proxies write it: alone, with a port, or in brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, headers: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_address(peer.parse::<IpAddr>().unwrap().into(), headers.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn a_peer_on_a_unix_socket_is_trusted_by_its_own_name() {
        let of = |trusted: &[TrustedProxy]| {
            client_address(Peer::UNIX, ["198.51.100.9"].into_iter(), trusted).to_string()
        };
        assert_eq!(of(&[TrustedProxy::Unix]), "198.51.100.9");
        assert_eq!(of(&["127.0.0.0/8".parse().unwrap()]), "127.0.0.1", "an address does not name it");
        let loopback = Peer::from(Peer::UNIX.address);
        assert!(!loopback.is_trusted(&[TrustedProxy::Unix]), "nor does the name a connection over TCP");
    }

    #[test]
    fn an_untrusted_peer_says_nothing_about_itself() {
        assert_eq!(address("203.0.113.7", &["1.2.3.4"]), "203.0.113.7");
        assert_eq!(address("::ffff:203.0.113.7", &["1.2.3.4"]), "203.0.113.7");
    }

    #[test]
    fn a_trusted_proxy_is_believed_from_the_right() {
        assert_eq!(address("10.0.0.1", &["6.6.6.6, 198.51.100.9"]), "198.51.100.9");
        assert_eq!(address("10.0.0.1", &["6.6.6.6", "198.51.100.9, 10.0.0.2"]), "198.51.100.9");
        assert_eq!(address("10.0.0.1", &["198.51.100.9:4711"]), "198.51.100.9");
        assert_eq!(address("fd00::1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.9, unknown"]), "10.0.0.1");
    }

    #[test]
    fn a_whole_ipv6_network_is_one_client() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1").of_site(), key("2001:db8:1:3::1").of_site());
        assert_ne!(key("2001:db8:1:2::1").of_site(), key("2001:db8:2:2::1").of_site());
        assert_eq!(key("192.0.2.1").of_site(), key("192.0.2.1"));
    }
}
