//! The TLS of one listener, which changes with the settings.

use std::sync::Arc;

use tokio::sync::watch;

use crate::tls::{ListenerTls, ServerTls};

/// Returns the TLS of one listener among that of all.
pub(super) type OfListener = fn(&ListenerTls) -> Option<&Arc<ServerTls>>;

/// The TLS of one listener, as it is now.
pub(super) struct CurrentTls {
    tls: watch::Receiver<ListenerTls>,
    of_listener: OfListener,
}

impl CurrentTls {
    pub(super) fn new(tls: watch::Receiver<ListenerTls>, of_listener: OfListener) -> Self {
        Self { tls, of_listener }
    }

    /// Returns the configuration for a handshake that begins now; `None` without TLS.
    pub(super) fn get(&self) -> Option<Arc<ServerTls>> {
        (self.of_listener)(&self.tls.borrow()).cloned()
    }
}
