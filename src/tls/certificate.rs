//! The content of certificates: validity of the gateway's own, names of a client's.

use std::{net::IpAddr, time::SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::{self, Decode},
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// The names in a client's certificate, which a trusted authority has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as a distinguished name (RFC 4514), such as `CN=shop,O=Example`.
    pub subject: String,
    /// The alternative names: DNS names, addresses of mail, URIs and IP addresses.
    pub names: Vec<String>,
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
        Ok(Self { subject: content.subject().to_string(), names: names.unwrap_or_default() })
    }
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
