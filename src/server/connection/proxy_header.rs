//! The PROXY protocol, version 2: a header in front of a connection, by which a proxy names the client. It comes before
//! TLS. Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, section 2.2.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of every header, which no other protocol begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of a header of version 1.
const SIGNATURE_1: &[u8] = b"PROXY ";

/// Bytes of the fixed part of a header: signature, version and command, family and protocol, length of the rest.
const FIXED_BYTES: usize = 16;

/// Most bytes of the rest: addresses, and additional fields, which are skipped.
const MAX_REST_BYTES: usize = 2048;

/// Version and command: the proxy's own connection, as of its health checks, or that of a client.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Family and protocol.
const UNSPECIFIED: u8 = 0x00;
const TCP_4: u8 = 0x11;
const TCP_6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Bytes of both addresses and ports, or of both paths.
const TCP_4_BYTES: usize = 12;
const TCP_6_BYTES: usize = 36;
const UNIX_BYTES: usize = 216;

/// A header that is not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    /// The connection ended before the header did.
    #[error("the connection ended within the header: {0}")]
    Ended(#[from] io::Error),
    /// The connection begins with something else.
    #[error("the connection does not begin with a header of the PROXY protocol")]
    Missing,
    /// Version 1, which is text.
    #[error("the header is of version 1; send version 2")]
    Version1,
    /// The version, the command or the kind of address is unknown.
    #[error("the header has an unknown version, command or kind of address ({command:#04x}, {family:#04x})")]
    Unknown { command: u8, family: u8 },
    /// The rest is shorter than the addresses, or longer than any header should be.
    #[error("the header announces {0} bytes, too few for its addresses or more than {MAX_REST_BYTES}")]
    Length(usize),
}

/// Reads a header, and nothing behind it. Returns the address of the client; `None` if the connection is the proxy's
/// own, or the proxy does not know the address.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyHeaderError> {
    let mut fixed = [0; FIXED_BYTES];
    // The first bytes tell a client that speaks something else, which may not send as many.
    let (start, rest) = fixed.split_at_mut(SIGNATURE_1.len());
    stream.read_exact(start).await?;
    if start == SIGNATURE_1 {
        return Err(ProxyHeaderError::Version1);
    }
    if !SIGNATURE.starts_with(start) {
        return Err(ProxyHeaderError::Missing);
    }
    stream.read_exact(rest).await?;
    let Fixed { command, family, length } = Fixed::of(&fixed)?;
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    if command == LOCAL {
        return Ok(None);
    }
    Ok(source(family, &rest))
}

/// The fixed part of a header.
#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    command: u8,
    family: u8,
    length: usize,
}

impl Fixed {
    fn of(bytes: &[u8; FIXED_BYTES]) -> Result<Self, ProxyHeaderError> {
        let [signature @ .., command, family, high, low] = *bytes;
        if signature != SIGNATURE {
            return Err(ProxyHeaderError::Missing);
        }
        let least = match (command, family) {
            // Whatever follows is not used.
            (LOCAL, _) | (PROXY, UNSPECIFIED) => 0,
            (PROXY, TCP_4) => TCP_4_BYTES,
            (PROXY, TCP_6) => TCP_6_BYTES,
            (PROXY, UNIX_STREAM) => UNIX_BYTES,
            _ => return Err(ProxyHeaderError::Unknown { command, family }),
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < least || length > MAX_REST_BYTES {
            return Err(ProxyHeaderError::Length(length));
        }
        Ok(Self { command, family, length })
    }
}

/// Returns the first address, that of the client.
fn source(family: u8, rest: &[u8]) -> Option<IpAddr> {
    match family {
        TCP_4 => rest.first_chunk().map(|bytes: &[u8; 4]| Ipv4Addr::from(*bytes).into()),
        TCP_6 => rest.first_chunk().map(|bytes: &[u8; 16]| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// The outcome, and what is left of the bytes.
    fn of(mut bytes: &[u8]) -> (Result<Option<IpAddr>, ProxyHeaderError>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(&mut bytes));
        (read, bytes.len())
    }

    #[test]
    fn what_is_no_header_is_refused_for_its_reason() {
        let long = vec![0; MAX_REST_BYTES + 1];
        for (bytes, reason) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "does not begin with"),
            (b"\x16\x03\x01\x02\x00\x01".to_vec(), "does not begin with"),
            (b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c".to_vec(), "does not begin with"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), "version 1"),
            (header(0x11, TCP_4, &[0; 12]), "unknown version"),
            (header(0x22, TCP_4, &[0; 12]), "unknown version"),
            (header(PROXY, 0x12, &[0; 12]), "unknown version"),
            (header(PROXY, TCP_4, &[0; 11]), "announces 11"),
            (header(PROXY, TCP_6, &[0; 35]), "announces 35"),
            (header(PROXY, UNIX_STREAM, &[0; 215]), "announces 215"),
            (header(PROXY, TCP_4, &long), "announces 2049"),
            (header(PROXY, TCP_4, &[0; 12])[..20].to_vec(), "ended within"),
            (Vec::new(), "ended within"),
        ] {
            let said = of(&bytes).0.unwrap_err().to_string();
            assert!(said.contains(reason), "{bytes:?}: {said}");
        }
    }

    #[test]
    fn a_connection_of_the_proxy_itself_has_no_client() {
        assert!(matches!(of(&header(LOCAL, UNSPECIFIED, &[])), (Ok(None), 0)));
        assert!(matches!(of(&header(LOCAL, TCP_4, &[9; 12])), (Ok(None), 0)));
        assert!(matches!(of(&header(PROXY, UNSPECIFIED, &[9; 3])), (Ok(None), 0)));
        assert!(matches!(of(&header(PROXY, UNIX_STREAM, &[9; 216])), (Ok(None), 0)));
    }

    proptest! {
        #[test]
        fn the_client_is_the_first_address_and_nothing_behind_the_header_is_read(
            v4 in any::<[u8; 12]>(),
            v6 in any::<[u8; 36]>(),
            fields in prop::collection::vec(any::<u8>(), 0..300),
            behind in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let first_4: [u8; 4] = v4[..4].try_into().unwrap();
            let first_6: [u8; 16] = v6[..16].try_into().unwrap();
            let (ip_4, ip_6) = (IpAddr::from(first_4), IpAddr::from(first_6));
            for (family, addresses, expected) in [(TCP_4, &v4[..], ip_4), (TCP_6, &v6[..], ip_6)] {
                let rest = [addresses, &fields].concat();
                let bytes = [header(PROXY, family, &rest), behind.clone()].concat();
                let (found, left) = of(&bytes);
                prop_assert_eq!(found.unwrap(), Some(expected));
                prop_assert_eq!(left, behind.len());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            command in any::<u8>(),
            family in any::<u8>(),
        ) {
            let _ = of(&bytes);
            let _ = of(&[&SIGNATURE[..], &[command, family], &bytes].concat());
        }
    }
}
