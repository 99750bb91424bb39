//! Alternative names of certificates (RFC 5280 section 4.2.1.6), each with its kind.

use std::{fmt, net::IpAddr};

use x509_cert::ext::pkix::name::GeneralName;

/// An alternative name. Names of different kinds differ, even if they read alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// A DNS name, in lower case (RFC 5280 section 7.2).
    Dns(String),
    /// A URI, compared letter for letter.
    Uri(String),
    /// An address of mail, whose domain is in lower case (RFC 5280 section 7.5).
    Email(String),
    /// An IP address.
    Ip(IpAddr),
}

impl AlternativeName {
    /// Reads a name of the settings: `dns:`, `uri:`, `email:` or `ip:` before it say its kind. It may be left out where
    /// the name can only be of one kind.
    ///
    /// # Errors
    ///
    /// The fault of the name, and the names that are allowed.
    pub fn read(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or(("", text));
        let found = match kind {
            "dns" => Some(Self::dns(name)),
            "uri" => Some(Self::Uri(name.to_owned())),
            "email" => Some(Self::email(name)),
            "ip" => name.parse().ok().map(Self::Ip),
            _ => Self::of_one_kind(text),
        };
        found.filter(|name| !name.is_empty()).ok_or_else(|| {
            format!(
                "`{text}` is not an alternative name: write dns:shop.example, uri:spiffe://example/shop, \
                 email:shop@example.com or ip:192.0.2.1"
            )
        })
    }

    /// Reads a name without its kind; `None` if it could be of several.
    fn of_one_kind(text: &str) -> Option<Self> {
        let is_dns = |byte: u8| byte.is_ascii_alphanumeric() || b".-_*".contains(&byte);
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(address));
        }
        if text.contains("://") {
            return Some(Self::Uri(text.to_owned()));
        }
        if text.contains('@') && !text.contains(':') {
            return Some(Self::email(text));
        }
        text.bytes().all(is_dns).then(|| Self::dns(text))
    }

    /// Reads a name of a certificate; `None` for kinds without a usual text.
    pub(super) fn of(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::DnsName(name) => Some(Self::dns(name.as_ref())),
            GeneralName::Rfc822Name(name) => Some(Self::email(name.as_ref())),
            GeneralName::UniformResourceIdentifier(name) => Some(Self::Uri(name.to_string())),
            GeneralName::IpAddress(bytes) => {
                let bytes = bytes.as_bytes();
                let address = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                address.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(Self::Ip)
            }
            _ => None,
        }
    }

    fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase())
    }

    fn email(name: &str) -> Self {
        let address = name.rsplit_once('@');
        let address = address.map(|(user, domain)| format!("{user}@{}", domain.to_ascii_lowercase()));
        Self::Email(address.unwrap_or_else(|| name.to_owned()))
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Dns(name) | Self::Uri(name) | Self::Email(name) if name.is_empty())
    }
}

impl fmt::Display for AlternativeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(formatter, "dns:{name}"),
            Self::Uri(name) => write!(formatter, "uri:{name}"),
            Self::Email(name) => write!(formatter, "email:{name}"),
            Self::Ip(address) => write!(formatter, "ip:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_kind_or_can_only_be_of_one() {
        for (text, canonical) in [
            ("dns:Shop.Example", "dns:shop.example"),
            ("shop.example", "dns:shop.example"),
            ("*.shop.example", "dns:*.shop.example"),
            ("spiffe://example/Shop", "uri:spiffe://example/Shop"),
            ("uri:urn:example:shop", "uri:urn:example:shop"),
            ("uri:shop.example", "uri:shop.example"),
            ("Shop@Example.com", "email:Shop@example.com"),
            ("email:shop@example.com", "email:shop@example.com"),
            ("192.0.2.1", "ip:192.0.2.1"),
            ("2001:DB8:0::1", "ip:2001:db8::1"),
            ("ip:2001:db8::1", "ip:2001:db8::1"),
            ("dns:192.0.2.1", "dns:192.0.2.1"),
        ] {
            let name = AlternativeName::read(text).map(|name| name.to_string());
            assert_eq!(name.as_deref(), Ok(canonical), "{text}");
            assert_eq!(AlternativeName::read(canonical).unwrap().to_string(), canonical);
        }
        for text in
            ["", "dns:", "urn:example:shop", "mailto:a@b", "ip:shop", "DNS:a", "a b", "shop.example:443"]
        {
            let said = AlternativeName::read(text).unwrap_err();
            assert!(said.contains("is not an alternative name: write dns:"), "{said}");
        }
    }
}
