//! The content of certificates: validity of the gateway's own, names of a client's.

use std::{net::IpAddr, str::FromStr, sync::Arc, time::SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::{self, Decode},
    ext::pkix::{SubjectAltName, name::GeneralName},
    name::Name,
};

use super::client_trust::ClientTrust;

/// The mark of a request that came over TLS.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// The certificate of the client; `None` if it showed none.
    shown: Option<Arc<Shown>>,
}

/// A verified certificate, with the trust by which it was.
#[derive(Debug)]
struct Shown {
    certificate: ClientCertificate,
    trust: Arc<ClientTrust>,
}

impl Encrypted {
    pub(super) fn without_certificate() -> Self {
        Self { shown: None }
    }

    pub(super) fn with_certificate(certificate: ClientCertificate, trust: Arc<ClientTrust>) -> Self {
        Self { shown: Some(Arc::new(Shown { certificate, trust })) }
    }

    /// Returns the verified certificate of the client. `None` if it showed none, or if the listener has verified clients
    /// by other settings since.
    #[must_use]
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        let shown = self.shown.as_deref().filter(|shown| shown.trust.is_current());
        shown.map(|shown| &shown.certificate)
    }

    /// Returns true if the client showed a certificate that identifies it no more: it has to connect again.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.shown.as_deref().is_some_and(|shown| !shown.trust.is_current())
    }
}

/// The names in a client's certificate, which a trusted authority has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as a distinguished name (RFC 4514), such as `CN=shop,O=Example`.
    pub subject: String,
    /// The alternative names: DNS names, addresses of mail, URIs and IP addresses.
    pub names: Vec<String>,
    /// The end of its validity: a connection may last longer.
    pub not_after: SystemTime,
}

impl ClientCertificate {
    /// Reads the names of a verified certificate.
    ///
    /// # Errors
    ///
    /// If the certificate does not follow RFC 5280.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, der::Error> {
        let certificate = Certificate::from_der(certificate)?;
        let content = certificate.tbs_certificate();
        let names = content.get_extension::<SubjectAltName>()?;
        let names = names.map(|(_, SubjectAltName(names))| names.iter().filter_map(text).collect());
        let not_after = content.validity().not_after.to_system_time();
        Ok(Self { subject: content.subject().to_string(), names: names.unwrap_or_default(), not_after })
    }
}

/// Returns a subject in the form in which the subjects of certificates are written here.
///
/// # Errors
///
/// If it is not a distinguished name (RFC 4514).
pub fn canonical_subject(text: &str) -> Result<String, String> {
    Name::from_str(text).ok().filter(|name| !name.is_empty()).map(|name| name.to_string()).ok_or_else(|| {
        format!(
            "expected the form CN=shop,O=Example, without spaces after commas, got `{text}`; openssl x509 -in FILE -noout \
             -subject -nameopt RFC2253 prints that of a certificate"
        )
    })
}

/// Returns a name as text; `None` for kinds without a usual text.
fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name)
        | GeneralName::Rfc822Name(name)
        | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let address = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            address
                .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
                .ok()
                .map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Validity {
    /// Reads the validity of a certificate.
    ///
    /// # Errors
    ///
    /// If the certificate does not follow RFC 5280.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, der::Error> {
        let certificate = Certificate::from_der(certificate)?;
        let validity = certificate.tbs_certificate().validity();
        Ok(Self {
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[(DnType, &str)], san: Vec<SanType>) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = san;
        let key = KeyPair::generate().unwrap();
        ClientCertificate::of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn a_subject_is_that_of_the_settings_and_no_name_looks_like_two() {
        let shop =
            certificate(&[(DnType::OrganizationName, "Example"), (DnType::CommonName, "shop")], vec![]);
        assert_eq!(shop.subject, "CN=shop,O=Example");
        assert_eq!(canonical_subject("CN=shop,O=Example").unwrap(), shop.subject);
        let posing = certificate(&[(DnType::CommonName, "shop,O=Example")], vec![]);
        assert_ne!(posing.subject, shop.subject);
        assert_eq!(canonical_subject(&posing.subject).unwrap(), posing.subject);
        for text in ["", "shop", "CN=shop, O=Example"] {
            assert!(canonical_subject(text).is_err(), "{text}");
        }
    }

    #[test]
    fn alternative_names_are_texts() {
        let san = vec![
            SanType::DnsName("shop.example".try_into().unwrap()),
            SanType::URI("spiffe://example/shop".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::Rfc822Name("shop@example.com".try_into().unwrap()),
        ];
        let names = certificate(&[(DnType::CommonName, "shop")], san).names;
        assert_eq!(names, ["shop.example", "spiffe://example/shop", "192.0.2.1", "shop@example.com"]);
    }
}
