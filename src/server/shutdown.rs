//! The shutdown signal to connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use crate::edge::Ending;

/// The two steps of a shutdown: it is announced, then the gateway stops accepting connections.
#[derive(Clone, Debug)]
pub struct Shutdown {
    announced: Arc<AtomicBool>,
    stopped: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    pub(super) fn new() -> Self {
        Self { announced: Arc::new(AtomicBool::new(false)), stopped: Arc::new(watch::Sender::new(false)) }
    }

    /// Announces the shutdown. From now on each response closes its connection, so that no client sends a request into
    /// a closing one.
    pub(super) fn announce(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    /// Returns true if the shutdown was announced.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    /// Stops accepting connections, and closes idle ones.
    pub(super) fn stop_accepting(&self) {
        self.stopped.send_replace(true);
    }

    /// Returns the second step as a signal for open-ended responses.
    pub(super) fn ending(&self) -> Ending {
        Ending::new(self.stopped.subscribe())
    }

    /// Waits until connections are no longer accepted.
    pub(super) async fn stopped(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}
