//! The address of a server.

use std::str::FromStr;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host and port, as in a URL.
    authority: String,
    /// The path before those of the server, without a slash at its end.
    path: String,
    is_encrypted: bool,
}

/// A URL that names no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT or https://HOST:PORT")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError)?;
        let (is_encrypted, port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(AddressError),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let is_plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte));
        if host.is_empty() || !is_plain(rest) {
            return Err(AddressError);
        }
        let authority = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self { authority, path: path.trim_end_matches('/').to_owned(), is_encrypted })
    }
}

impl Address {
    /// Returns host and port, as in a URL.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the path before those of the server, without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns true if the server is reached with TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Returns true if the host is this machine by its name or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| host);
        let is_loopback = |address: std::net::IpAddr| address.is_loopback();
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(is_loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_a_url() {
        let of = |authority: &str, path: &str, is_encrypted| {
            Ok(Address { authority: authority.to_owned(), path: path.to_owned(), is_encrypted })
        };
        for (url, expected) in [
            ("http://127.0.0.1:8000", of("127.0.0.1:8000", "", false)),
            ("http://gateway/", of("gateway:80", "", false)),
            ("http://[::1]:8000/models/", of("[::1]:8000", "/models", false)),
            ("https://gateway/ml", of("gateway:443", "/ml", true)),
            ("https://gateway:8443", of("gateway:8443", "", true)),
            ("ftp://gateway", Err(AddressError)),
            ("gateway:8000", Err(AddressError)),
            ("http://", Err(AddressError)),
            ("http://a b", Err(AddressError)),
        ] {
            assert_eq!(url.parse::<Address>(), expected, "{url}");
        }
        for (url, expected) in [
            ("http://127.0.0.1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://a", false),
        ] {
            assert_eq!(url.parse::<Address>().unwrap().is_loopback(), expected, "{url}");
        }
    }
}
