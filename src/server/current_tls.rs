//! The TLS of one listener, which changes with the settings.

use std::sync::Arc;

use tokio::sync::watch;

use super::{connection::Application, listener::Audience};
use crate::tls::{ListenerTls, ServerTls};

/// The TLS of one listener, as it is now.
pub(super) struct CurrentTls {
    tls: watch::Receiver<ListenerTls>,
    application: Application,
    audience: Audience,
}

impl CurrentTls {
    pub(super) fn new(
        tls: watch::Receiver<ListenerTls>,
        application: Application,
        audience: Audience,
    ) -> Self {
        Self { tls, application, audience }
    }

    /// Returns the configuration for a handshake that begins now; `None` without TLS.
    pub(super) fn get(&self) -> Option<Arc<ServerTls>> {
        let tls = self.tls.borrow();
        let of_listener = match (self.application, self.audience) {
            (Application::Grpc, _) => &tls.grpc,
            (Application::Rest, Audience::Clients) => &tls.rest,
            (Application::Rest, Audience::Operators) => &tls.admin,
        };
        of_listener.clone()
    }
}
