//! Quotas by address of invalid tokens, of every transport, and of TLS handshakes.
//!
//! Only requests that would be refused anyway are charged for their token. A valid one is accepted however many invalid
//! ones come from its address, as strangers may share that. So no client loses a request, and repeating an invalid token
//! ends. A handshake costs a signature, and a client may leave before it sends a request that another quota is charged
//! for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{AddressKey, Exceeded, buckets::Buckets};
use crate::config::QuotaSettings;

/// One quota for each address.
#[derive(Debug)]
pub struct AddressBuckets {
    settings: QuotaSettings,
    by_address: Mutex<Buckets<AddressKey>>,
}

impl AddressBuckets {
    /// Creates an unused quota.
    #[must_use]
    pub fn new(settings: &QuotaSettings) -> Self {
        Self { settings: settings.clone(), by_address: Mutex::new(Buckets::new(settings)) }
    }

    /// Charges one.
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn each_address_has_a_quota_of_its_own() {
        let quota = AddressBuckets::new(&QuotaSettings { requests: 2, period_seconds: 3600 });
        let [one, other] =
            [[192, 0, 2, 1], [192, 0, 2, 2]].map(|bytes| AddressKey::from(IpAddr::from(bytes)));
        assert!(quota.charge(one).is_ok() && quota.charge(one).is_ok());
        quota.release_idle();
        assert!(quota.charge(one).is_err() && quota.charge(other).is_ok());
    }
}
