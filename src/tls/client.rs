//! Connections to a gateway, with or without TLS, for the commands that are its clients.

use std::{fmt, io, path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{files, provider};

/// The gateways that a client accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Gateways with a certificate of an authority that the system trusts.
    System,
    /// Gateways with a certificate of an authority in this file.
    Authorities(PathBuf),
    /// The one whose certificate is the first in this file, under any name: the file is the gateway's own.
    Own(PathBuf),
    /// Any, without proof of its identity. Only for requests that carry no secret.
    Anyone,
}

/// The certificate and key that a client shows.
pub type OwnFiles = (PathBuf, PathBuf);

/// A reason why a client cannot use TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientTlsError(String);

/// TLS of a client.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

/// A connection to a gateway.
pub trait ClientConnection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ClientConnection for S {}

impl ClientTls {
    /// Prepares TLS with the gateways to accept and, for gateways that ask for one, the client's own certificate.
    ///
    /// # Errors
    ///
    /// If a file cannot be used, or the system has no authorities.
    pub fn new(trust: &Trust, own: Option<&OwnFiles>) -> Result<Self, ClientTlsError> {
        let verifier = verifier(trust).map_err(ClientTlsError)?;
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| ClientTlsError(error.to_string()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate_file, key_file)) => {
                let chain = files::certificates(certificate_file).map_err(ClientTlsError)?;
                let key = files::private_key(key_file).map_err(ClientTlsError)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    ClientTlsError(format!("{} cannot be used: {error}", certificate_file.display()))
                })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is in the configuration.
        formatter.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// Connects to HOST:PORT, with TLS if there is any.
///
/// # Errors
///
/// If the host cannot be reached, or is not accepted.
pub async fn connect(tls: Option<&ClientTls>, authority: &str) -> io::Result<Box<dyn ClientConnection>> {
    let stream = TcpStream::connect(authority).await?;
    // A request is one write, which should not wait for the next.
    stream.set_nodelay(true)?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    secure(tls, stream, host).await
}

/// Shakes hands on a connection to this host, if there is TLS.
///
/// # Errors
///
/// If the host is not accepted.
pub async fn secure(
    tls: Option<&ClientTls>,
    stream: impl ClientConnection + 'static,
    host: &str,
) -> io::Result<Box<dyn ClientConnection>> {
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let encrypted = TlsConnector::from(Arc::clone(&tls.config)).connect(name, stream).await;
    encrypted.map(|stream| Box::new(stream) as Box<dyn ClientConnection>)
}

fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let authorities = match trust {
        Trust::System => system_authorities()?,
        Trust::Authorities(file) => files::certificates(file)?,
        Trust::Own(file) => {
            let own = files::certificates(file)?.into_iter().next();
            return Ok(Arc::new(OneCertificate { own, provider: provider() }));
        }
        Trust::Anyone => return Ok(Arc::new(OneCertificate { own: None, provider: provider() })),
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(authorities);
    if added == 0 {
        return Err("there is no authority to trust".to_owned());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.map(|verifier| verifier as Arc<dyn ServerCertVerifier>).map_err(|error| error.to_string())
}

fn system_authorities() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!(
            "the system trusts no authority: install ca-certificates, or name a file with --ca-file {}",
            errors.join(", ")
        ));
    }
    Ok(found.certs)
}

/// A verifier that accepts one certificate, or any, whatever its name.
#[derive(Debug)]
struct OneCertificate {
    /// The certificate; `None` to accept any.
    own: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.own {
            Some(own) if own != shown => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
