//! Sections `server.tls`, `grpc.tls` and `admin.tls`: certificates of listeners and of their clients.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// TLS of a listener. Paths are relative to the folder of the settings file, or to the working directory if they come
/// from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct TlsSettings {
    /// The certificate chain as PEM, the server's own certificate first; unset: no TLS.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the certificate as PEM, not encrypted.
    pub private_key_file: Option<PathBuf>,
    /// The certificates as PEM of the authorities that issue certificates to clients.
    pub client_ca_file: Option<PathBuf>,
    /// The certificates that clients show: `none`, `optional` or `required`; unset: `none`, for gRPC that of `server.tls`.
    pub client_certificates: Option<ClientCertificates>,
}

impl TlsSettings {
    /// Returns true if the section names a certificate or its key.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.certificate_file.is_some() || self.private_key_file.is_some()
    }

    /// Returns true if anything is set that has an effect: without a certificate, `none` has none.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_on() || self.client_ca_file.is_some() || self.clients() != ClientCertificates::None
    }

    /// Returns the certificates that clients show.
    #[must_use]
    pub fn clients(&self) -> ClientCertificates {
        self.client_certificates.unwrap_or_default()
    }

    /// Returns true if anything is said of certificates of clients.
    #[must_use]
    pub fn has_clients(&self) -> bool {
        self.client_ca_file.is_some() || self.client_certificates.is_some()
    }

    /// Returns the section with what it does not set of another: the certificate with its key, and the certificates of
    /// clients with their authorities. Neither is mixed.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let of_certificate = if self.is_on() { self } else { other };
        let of_clients = if self.has_clients() { self } else { other };
        Self {
            certificate_file: of_certificate.certificate_file.clone(),
            private_key_file: of_certificate.private_key_file.clone(),
            client_ca_file: of_clients.client_ca_file.clone(),
            client_certificates: of_clients.client_certificates,
        }
    }

    /// Returns the names and paths of the files that are set.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let Self { certificate_file, private_key_file, client_ca_file, .. } = self;
        let files = TLS_FILES.into_iter().zip([certificate_file, private_key_file, client_ca_file]);
        files.filter_map(|(name, file)| Some((name, file.as_ref()?)))
    }
}

/// The settings of a `tls` section that are paths.
pub(in crate::config) const TLS_FILES: [&str; 3] = ["certificate_file", "private_key_file", "client_ca_file"];

/// The certificates that a listener asks of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
#[schemars(!try_from)]
pub enum ClientCertificates {
    /// None is asked for.
    #[default]
    None,
    /// A client may show one, which is verified.
    Optional,
    /// A client without a valid one is refused.
    Required,
}

impl TryFrom<String> for ClientCertificates {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "none" => Ok(Self::None),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(format!("expected none, optional or required, got `{text}`")),
        }
    }
}
