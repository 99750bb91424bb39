//! The trust by which a listener verifies certificates of clients, and its end.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::Digest;

/// The authorities and the mode by which a listener verifies clients. Connections keep that of their handshake.
#[derive(Debug)]
pub(super) struct ClientTrust {
    /// The content of the authorities, and the mode.
    content: Digest,
    /// True until the listener has another.
    is_current: AtomicBool,
}

impl ClientTrust {
    pub(super) fn new(content: Digest) -> Self {
        Self { content, is_current: AtomicBool::new(true) }
    }

    /// Returns true if both have the same authorities and mode.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.content == other.content
    }

    /// Returns true while the listener verifies clients by it.
    pub(super) fn is_current(&self) -> bool {
        self.is_current.load(Ordering::Acquire)
    }

    /// Ends it for good: the same authorities, set again later, are another trust.
    pub(super) fn end(&self) {
        self.is_current.store(false, Ordering::Release);
    }
}
