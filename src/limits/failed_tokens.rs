//! Tokens that are not believed, by the address that they come from, whichever transport they come by.
//!
//! Only what would be refused anyway is charged and refused: a good token is believed however many bad ones come from
//! its address, as strangers may share that. So this costs nobody a call; it ends what repeats a bad one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{AddressKey, Exceeded, buckets::Buckets};
use crate::config::QuotaSettings;

/// The quota of tokens that are not believed.
#[derive(Debug)]
pub struct FailedTokens {
    settings: QuotaSettings,
    by_address: Mutex<Buckets<AddressKey>>,
}

impl FailedTokens {
    /// A quota that nobody has used yet.
    #[must_use]
    pub fn new(settings: &QuotaSettings) -> Self {
        Self { settings: settings.clone(), by_address: Mutex::new(Buckets::new(settings)) }
    }

    /// Charges one token.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] when nothing is left; then nothing is charged.
    pub fn charge(&self, address: AddressKey) -> Result<(), Exceeded> {
        let (mut by_address, now) = (self.lock(), Instant::now());
        if let Some(wait) = by_address.wait(&address, now) {
            return Err(Exceeded { wait, quota: self.settings.clone() });
        }
        by_address.charge(address, now);
        Ok(())
    }

    /// Forgets addresses whose quota is full again.
    pub fn release_idle(&self) {
        let mut by_address = self.lock();
        by_address.forget_full(Instant::now());
        by_address.shrink();
    }

    /// Held for some instructions, but for the housekeeping of at most some ten thousand addresses.
    fn lock(&self) -> MutexGuard<'_, Buckets<AddressKey>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
