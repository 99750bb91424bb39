//! Trust in the key of a token, which may end before the token does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Trust in one key, shared by everything that was verified with it.
#[derive(Clone, Debug)]
pub(super) struct KeyTrust(Arc<AtomicBool>);

impl KeyTrust {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Ends the trust, for good.
    pub(super) fn end(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Returns true if the key is still trusted.
    pub(super) fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
