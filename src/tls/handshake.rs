//! The handshake with a client, and the reasons for which it fails.

use std::{io, sync::Arc};

use rustls::{CertificateError, Error, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{
    certificate::{ClientCertificate, Encrypted},
    listeners::HTTP_2,
    server::ServerTls,
};

/// The encrypted stream of a client.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// A finished handshake.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The stream of requests and responses.
    pub stream: ServerStream<S>,
    /// True if the client has chosen HTTP/2 by ALPN.
    pub is_http2: bool,
    /// The mark of its requests, with the client's certificate.
    pub encrypted: Encrypted,
}

/// The kind of reason for which a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The time limit of headers was over before the handshake.
    TimedOut,
    /// The client speaks HTTP without TLS.
    PlainHttp,
    /// The client showed no certificate, or one that is not valid.
    ClientCertificate,
    /// The client refused, for example because it does not trust the gateway's certificate.
    Refused,
    /// The client left, as probes of ports do.
    Left,
    /// The client has no version, cipher or protocol in common with the gateway, or does not speak TLS.
    Protocol,
}

impl HandshakeFailure {
    /// Returns the word for metrics and the log.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::PlainHttp => "plain_http",
            Self::ClientCertificate => "client_certificate",
            Self::Refused => "refused",
            Self::Left => "left",
            Self::Protocol => "protocol",
        }
    }

    /// Returns the kind of an error of the handshake.
    fn of(error: &io::Error) -> Self {
        if let io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe =
            error.kind()
        {
            return Self::Left;
        }
        match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Self::ClientCertificate,
            Some(Error::AlertReceived(_)) => Self::Refused,
            _ => Self::Protocol,
        }
    }
}

/// A handshake that failed, with the stream below it, on which the client was told why.
#[derive(Debug)]
pub struct FailedHandshake<S> {
    /// The kind of reason.
    pub kind: HandshakeFailure,
    /// The error.
    pub cause: io::Error,
    /// The stream without TLS. `None` if the client certificate was refused after the handshake.
    pub stream: Option<S>,
}

impl ServerTls {
    /// Accepts a client. There is no time limit here.
    ///
    /// # Errors
    ///
    /// If the client does not speak TLS as the gateway does, refuses its certificate, or has none that is valid.
    pub async fn accept<S>(&self, stream: S) -> Result<Accepted<S>, FailedHandshake<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let accepted = acceptor.accept(stream).into_fallible().await;
        let stream = accepted.map_err(|(cause, stream)| FailedHandshake {
            kind: HandshakeFailure::of(&cause),
            cause,
            stream: Some(stream),
        })?;
        let session = stream.get_ref().1;
        let is_http2 = session.alpn_protocol() == Some(HTTP_2);
        match self.mark(session) {
            Ok(encrypted) => Ok(Accepted { stream, is_http2, encrypted }),
            Err(cause) => {
                let kind = HandshakeFailure::ClientCertificate;
                Err(FailedHandshake { kind, cause, stream: None })
            }
        }
    }

    /// Returns the mark of the requests of a session, with the names in the client's certificate if it showed one.
    fn mark(&self, session: &ServerConnection) -> io::Result<Encrypted> {
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        // Without trust in any authority, none is asked for.
        let Some((certificate, trust)) = shown.zip(self.trust.as_ref()) else {
            return Ok(Encrypted::without_certificate());
        };
        match ClientCertificate::of(certificate) {
            Ok(certificate) => Ok(Encrypted::with_certificate(certificate, Arc::clone(trust))),
            // Verified, but its names cannot be read: nobody could be identified by it.
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                Error::InvalidCertificate(CertificateError::BadEncoding),
            )),
        }
    }
}
