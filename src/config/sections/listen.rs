//! The address of a listener, and the proxies that are trusted.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The beginning of an address that is a Unix socket.
const UNIX_PREFIX: &str = "unix:";

/// The word for all peers on Unix sockets.
const UNIX: &str = "unix";

/// Longest path of a Unix socket that all systems take, without the zero at its end.
const MAX_PATH_BYTES: usize = 103;

/// The address that a listener is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Address and port.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

/// A text that is not the address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListenAddressError(String);

impl ListenAddress {
    /// Returns true if only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Returns the address and port; `None` for a Unix socket.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Returns the path of a Unix socket; `None` for an address and port.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Changes the port, if there is one.
    pub fn set_port(&mut self, port: u16) {
        if let Self::Tcp(address) = self {
            address.set_port(port);
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl PartialEq<SocketAddr> for ListenAddress {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.tcp() == Some(*other)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(path) = text.strip_prefix(UNIX_PREFIX) else {
            return text.parse().map(Self::Tcp).map_err(|_| {
                ListenAddressError(format!(
                    "`{text}` is neither an address with a port (127.0.0.1:8000) nor a Unix socket (unix:/PATH)"
                ))
            });
        };
        if !path.starts_with('/') || path.contains('\0') {
            return Err(ListenAddressError(format!("the path in `{text}` is not absolute: unix:/PATH")));
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(ListenAddressError(format!(
                "the path of a Unix socket has at most {MAX_PATH_BYTES} bytes, and `{path}` has {}",
                path.len()
            )));
        }
        Ok(Self::Unix(path.into()))
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for ListenAddress {
    fn schema_name() -> Cow<'static, str> {
        "ListenAddress".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A peer that stands for other clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Every address of a network.
    Network(IpNet),
    /// Every peer on a Unix socket.
    Unix,
}

impl TrustedProxy {
    /// Returns true if an address is in one of the networks.
    #[must_use]
    pub fn any_has(proxies: &[Self], address: &IpAddr) -> bool {
        proxies.iter().any(|proxy| matches!(proxy, Self::Network(network) if network.contains(address)))
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(formatter),
            Self::Unix => formatter.write_str(UNIX),
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == UNIX {
            return Ok(Self::Unix);
        }
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self::Network).map_err(|_| {
            ListenAddressError(format!(
                "`{text}` is neither an address (10.1.2.3) nor a network (10.0.0.0/8) nor `unix`"
            ))
        })
    }
}

impl Serialize for TrustedProxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a list of proxies.
pub(super) fn proxies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrustedProxy>, D::Error> {
    let parse = |text: String| text.parse().map_err(D::Error::custom);
    super::comma_list(deserializer)?.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["127.0.0.1:8000", "[::1]:0", "unix:/run/onnx-gateway/http.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.0/8", "10.1.2.3/32", "unix"] {
            assert_eq!(text.parse::<TrustedProxy>().unwrap().to_string(), text);
        }
        assert_eq!("10.1.2.3".parse::<TrustedProxy>().unwrap().to_string(), "10.1.2.3/32");
    }

    #[test]
    fn a_text_that_is_no_address_is_told_what_is_one() {
        let long = format!("unix:/{}", "a".repeat(MAX_PATH_BYTES));
        for (text, part) in [
            ("here", "127.0.0.1:8000"),
            ("127.0.0.1", "127.0.0.1:8000"),
            ("unix:http.sock", "not absolute"),
            ("unix:", "not absolute"),
            (long.as_str(), "at most 103 bytes"),
        ] {
            let said = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(said.contains(part), "{text}: {said}");
        }
        assert!("unix:/run".parse::<TrustedProxy>().unwrap_err().to_string().contains("nor `unix`"));
    }
}
