//! How the end of the gateway reaches its connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use crate::transport::Ending;

/// The end, in two steps: it is announced, then nothing more is accepted.
#[derive(Clone, Debug)]
pub struct Shutdown {
    announced: Arc<AtomicBool>,
    stopped: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    pub(super) fn new() -> Self {
        Self { announced: Arc::new(AtomicBool::new(false)), stopped: Arc::new(watch::Sender::new(false)) }
    }

    /// From now on each answer closes its connection, so that no client sends a request into one that is closing.
    pub(super) fn announce(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    /// Whether the end was announced.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    /// From now on no connection is accepted, and idle ones are closed.
    pub(super) fn stop_accepting(&self) {
        self.stopped.send_replace(true);
    }

    /// The second step, as answers that would go on learn of it.
    pub(super) fn ending(&self) -> Ending {
        Ending::new(self.stopped.subscribe())
    }

    /// Waits until nothing more is accepted.
    pub(super) async fn stopped(&self) {
        // The sender lives in `self`, so this ends only when it says so.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}
