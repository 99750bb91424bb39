//! The certificates that clients show.

use std::{str::FromStr, sync::Arc, time::SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::{self, Decode},
    ext::pkix::SubjectAltName,
    name::Name,
};

use super::{alternative_name::AlternativeName, client_trust::ClientTrust};

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
    pub names: Vec<AlternativeName>,
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
        let names =
            names.map(|(_, SubjectAltName(names))| names.iter().filter_map(AlternativeName::of).collect());
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
    fn alternative_names_have_kinds() {
        let san = vec![
            SanType::DnsName("shop.example".try_into().unwrap()),
            SanType::URI("spiffe://example/shop".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::Rfc822Name("shop@example.com".try_into().unwrap()),
        ];
        let names = certificate(&[(DnType::CommonName, "shop")], san).names;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let expected =
            ["dns:shop.example", "uri:spiffe://example/shop", "ip:192.0.2.1", "email:shop@example.com"];
        assert_eq!(names, expected);
    }
}
