//! The bytes of a connection: plain, or encrypted.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream as BlockingStream},
    path::Path,
    sync::Arc,
};

use mio::net::TcpStream;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// A stream that both kinds of connections are.
pub trait Stream: io::Read + io::Write {}

impl<S: io::Read + io::Write> Stream for S {}

/// TLS of a client that trusts one certificate, that of the server.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the certificate as PEM.
    pub fn new(certificate: &Path) -> io::Result<Self> {
        let certificate =
            CertificateDer::from_pem_slice(&fs::read(certificate)?).map_err(io::Error::other)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(io::Error::other)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        Ok(Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Does the handshake, which has to be over before anything is measured.
    pub fn connect(&self, stream: &mut BlockingStream, address: SocketAddr) -> io::Result<ClientConnection> {
        let name = ServerName::IpAddress(address.ip().into());
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(stream)?;
        }
        Ok(connection)
    }
}

/// Returns the stream with the encryption of a connection, if it has any.
pub fn encrypted(stream: TcpStream, connection: Option<ClientConnection>) -> Box<dyn Stream> {
    match connection {
        None => Box::new(stream),
        Some(connection) => Box::new(StreamOwned::new(connection, stream)),
    }
}
