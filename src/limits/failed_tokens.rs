//! Quota of invalid tokens, by the address that they come from, for every transport.
//!
//! Only requests that would be refused anyway are charged and refused. A valid token is accepted however many invalid
//! ones come from its address, as strangers may share that. So no client loses a request, and repeating an invalid
//! token ends.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{AddressKey, Exceeded, buckets::Buckets};
use crate::config::QuotaSettings;

/// The quota of invalid tokens.
#[derive(Debug)]
pub struct FailedTokens {
    settings: QuotaSettings,
    by_address: Mutex<Buckets<AddressKey>>,
}

impl FailedTokens {
    /// Creates an unused quota.
    #[must_use]
    pub fn new(settings: &QuotaSettings) -> Self {
        Self { settings: settings.clone(), by_address: Mutex::new(Buckets::new(settings)) }
    }

    /// Charges one token.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] if the quota is used up; then nothing is charged.
    pub fn charge(&self, address: AddressKey) -> Result<(), Exceeded> {
        let (mut by_address, now) = (self.lock(), Instant::now());
        if let Some(wait) = by_address.wait(&address, now) {
            return Err(Exceeded { wait, quota: self.settings.clone() });
        }
        by_address.charge(address, now);
        Ok(())
    }

    /// Removes addresses whose quota is full again.
    pub fn release_idle(&self) {
        let mut by_address = self.lock();
        by_address.forget_full(Instant::now());
        by_address.shrink();
    }

    /// Locks the map: briefly, or longer while up to 65,536 addresses are checked for removal.
    fn lock(&self) -> MutexGuard<'_, Buckets<AddressKey>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
