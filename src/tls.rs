//! TLS of listeners, and of connections to a gateway. Only this module names `rustls`.
//!
//! One implementation of cryptography is linked: aws-lc, which tokens use, too. Versions are TLS 1.2 and 1.3.

mod alternative_name;
mod certificate;
mod client;
mod client_trust;
mod files;
mod handshake;
mod listeners;
mod sections;
mod server;
mod validity;

pub use alternative_name::AlternativeName;
pub use certificate::{ClientCertificate, Encrypted, canonical_subject};
pub use client::{ClientConnection, ClientTls, ClientTlsError, OwnFiles, Trust, connect, secure};
pub use handshake::{Accepted, FailedHandshake, HandshakeFailure, ServerStream};
pub(crate) use listeners::TlsChanges;
pub use listeners::{ListenerTls, LoadedTls};
pub use sections::incomplete_tls;
pub use server::ServerTls;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Returns the implementation of cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
