//! The TLS configuration of one listener.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    client_trust::ClientTrust,
    files, provider,
    validity::{Validities, Validity},
};
use crate::{
    config::{ClientCertificates, TlsSettings},
    model::{Digest, Hasher},
};

/// A problem of a setting: its name in the section, and the message.
pub(super) type Fault = (&'static str, String);

/// The TLS configuration of one listener.
#[derive(Debug)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    /// Everything that the configuration was made of.
    fingerprint: Digest,
    validity: Validity,
    /// The trust by which clients are verified; `None` if they are not.
    pub(super) trust: Option<Arc<ClientTrust>>,
}

/// The certificate of a section, with the verification of clients. It may serve several listeners.
pub(super) struct Identity {
    key: Arc<SingleCertAndKey>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    fingerprint: Digest,
    validities: Validities,
    /// The content of the authorities, and the mode.
    trust: Digest,
}

/// The content of the files of a section.
struct Content {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// Reads the files of a section.
    ///
    /// # Errors
    ///
    /// Every file or setting that cannot be used.
    pub(super) fn read(section: &TlsSettings) -> Result<Self, Vec<Fault>> {
        let content = Content::read(section)?;
        let (fingerprint, trust) = content.fingerprints(section.clients());
        let Content { chain, key, authorities } = content;
        let own = validity(&chain, section).map_err(|fault| vec![fault])?;
        let validities = Validities::new(own, &chain, &authorities);
        let key = certified(chain, key, section).map_err(|fault| vec![fault])?;
        let verifier = verifier(authorities, section).map_err(|message| vec![("client_ca_file", message)])?;
        Ok(Self { key: Arc::new(SingleCertAndKey::from(key)), verifier, fingerprint, validities, trust })
    }

    /// Returns a warning, with its setting, for each certificate that is not valid now or ends too early.
    pub(super) fn warnings(&self, now: SystemTime) -> Vec<Fault> {
        self.validities.warnings(now)
    }

    /// Returns the configuration of a listener. `protocols` are those that a client may choose by ALPN, the preferred
    /// one first.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers for the keys of sessions.
    pub(super) fn listener(&self, protocols: &[&[u8]]) -> Result<ServerTls, Error> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let key = Arc::clone(&self.key);
        let mut config = match &self.verifier {
            None => {
                let mut config = builder.with_no_client_auth().with_cert_resolver(key);
                // Its keys rotate every six hours, and each listener has its own.
                config.ticketer = Ticketer::new()?;
                config
            }
            Some(verifier) => {
                let builder = builder.with_client_cert_verifier(Arc::clone(verifier));
                let mut config = builder.with_cert_resolver(key);
                // Every connection shows its certificate: a resumed session would outlive it.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
        };
        // A client may be old, or of an attacker who prefers something weak.
        config.ignore_client_order = true;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let Self { fingerprint, trust, .. } = *self;
        let validity = self.validities.own;
        let trust = self.verifier.as_ref().map(|_| Arc::new(ClientTrust::new(trust)));
        Ok(ServerTls { config: Arc::new(config), fingerprint, validity, trust })
    }
}

impl ServerTls {
    /// Returns true if both were made of the same content.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// Returns the end of the certificate's validity, in seconds since 1970.
    #[must_use]
    pub fn not_after_seconds(&self) -> u64 {
        let since = self.validity.not_after.duration_since(SystemTime::UNIX_EPOCH);
        since.as_ref().map_or(0, Duration::as_secs)
    }
}

impl Content {
    fn read(section: &TlsSettings) -> Result<Self, Vec<Fault>> {
        let mut faults = missing(section);
        let mut add = |name, message: String| {
            faults.push((name, message));
        };
        let chain = section.certificate_file.as_deref().map(files::certificates).transpose();
        let chain = chain.map_err(|message| add("certificate_file", message)).ok().flatten();
        let key = section.private_key_file.as_deref().map(files::private_key).transpose();
        let key = key.map_err(|message| add("private_key_file", message)).ok().flatten();
        let authorities = section.client_ca_file.as_deref().map(files::certificates).transpose();
        let authorities = authorities.map_err(|message| add("client_ca_file", message)).ok().flatten();
        match (chain, key) {
            (Some(chain), Some(key)) if faults.is_empty() => {
                Ok(Self { chain, key, authorities: authorities.unwrap_or_default() })
            }
            _ => Err(faults),
        }
    }

    /// Returns the digest of everything, and that of the trust in clients.
    fn fingerprints(&self, client_certificates: ClientCertificates) -> (Digest, Digest) {
        // The digest of each part, so that no two lists of parts are joined to the same bytes.
        let mut trust = Hasher::default();
        for authority in &self.authorities {
            trust.update(Digest::of(authority).to_string());
        }
        trust.update(format!("{client_certificates:?}"));
        let trust = trust.finish();
        let mut all = Hasher::default();
        let key = [self.key.secret_der()];
        for part in self.chain.iter().map(AsRef::as_ref).chain(key) {
            all.update(Digest::of(part).to_string());
        }
        all.update(trust.to_string());
        (all.finish(), trust)
    }
}

/// Returns a fault for each setting without which another has no effect.
pub(super) fn missing(section: &TlsSettings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let TlsSettings { certificate_file, private_key_file, client_ca_file, .. } = section;
    if certificate_file.is_none() {
        faults
            .push(("certificate_file", "is not set, and TLS needs it: set it, or unset the rest".to_owned()));
    }
    if private_key_file.is_none() {
        faults.push(("private_key_file", "is not set, and the certificate needs its key".to_owned()));
    }
    match (section.clients(), client_ca_file) {
        (ClientCertificates::None, Some(_)) => faults.push((
            "client_certificates",
            "is none, so client_ca_file has no effect: set it to optional or required, or unset client_ca_file"
                .to_owned(),
        )),
        (ClientCertificates::Optional | ClientCertificates::Required, None) => faults.push((
            "client_ca_file",
            "is not set: certificates of clients are verified with the certificates in it".to_owned(),
        )),
        _ => {}
    }
    faults
}

/// Returns the validity of the server's own certificate.
fn validity(chain: &[CertificateDer<'static>], section: &TlsSettings) -> Result<Validity, Fault> {
    let read = chain.first().map(Validity::of);
    let shown = section.certificate_file.as_deref().unwrap_or(Path::new("")).display();
    match read {
        Some(Ok(validity)) => Ok(validity),
        Some(Err(error)) => Err(("certificate_file", format!("{shown} has no X.509 certificate: {error}"))),
        None => Err(("certificate_file", format!("{shown} has no certificate"))),
    }
}

/// Returns the key with its chain, if they belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    section: &TlsSettings,
) -> Result<CertifiedKey, Fault> {
    let shown = |file: Option<&PathBuf>| file.map(|file| file.display().to_string()).unwrap_or_default();
    let certificate_file = shown(section.certificate_file.as_ref());
    let key_file = shown(section.private_key_file.as_ref());
    let key = provider().key_provider.load_private_key(key).map_err(|_| {
        let message = format!(
            "{key_file} has a key that cannot be used: expected RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or \
             P-521, or Ed25519"
        );
        ("private_key_file", message)
    })?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            let message = format!(
                "{key_file} is not the key of the first certificate in {certificate_file}: replace both together; the \
                 server's own certificate comes first, those of its authorities after it"
            );
            ("private_key_file", message)
        }
        error => {
            let message = format!(
                "{certificate_file} has a certificate that cannot be used ({error}): expected X.509 version 3, which \
                 openssl x509 makes with -extfile"
            );
            ("certificate_file", message)
        }
    })?;
    Ok(certified)
}

/// Returns the verifier of clients; `None` if no certificate is asked for.
fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    section: &TlsSettings,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if section.clients() == ClientCertificates::None {
        return Ok(None);
    }
    let shown = section.client_ca_file.as_deref().unwrap_or(Path::new("")).display();
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|error| format!("{shown} has a certificate that is not valid: {error}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = match section.clients() {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional | ClientCertificates::None => builder.allow_unauthenticated(),
    };
    builder.build().map(Some).map_err(|error| format!("{shown} cannot be used: {error}"))
}
