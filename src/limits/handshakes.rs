//! Quota of TLS handshakes, by address. A handshake costs a signature, and a client may leave before it sends a request
//! that another quota is charged for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{AddressKey, buckets::Buckets};
use crate::config::QuotaSettings;

/// The quota of handshakes.
#[derive(Debug)]
pub struct Handshakes {
    by_address: Mutex<Buckets<AddressKey>>,
}

impl Handshakes {
    /// Creates an unused quota.
    #[must_use]
    pub fn new(settings: &QuotaSettings) -> Self {
        Self { by_address: Mutex::new(Buckets::new(settings)) }
    }

    /// Charges a handshake. Returns false if the quota is used up; then nothing is charged.
    #[must_use]
    pub fn charge(&self, address: AddressKey) -> bool {
        let (mut by_address, now) = (self.lock(), Instant::now());
        if by_address.wait(&address, now).is_some() {
            return false;
        }
        by_address.charge(address, now);
        true
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
    fn each_address_has_its_own_handshakes() {
        let handshakes = Handshakes::new(&QuotaSettings { requests: 2, period_seconds: 3600 });
        let [one, other] =
            [[192, 0, 2, 1], [192, 0, 2, 2]].map(|bytes| AddressKey::from(IpAddr::from(bytes)));
        assert!(handshakes.charge(one) && handshakes.charge(one));
        handshakes.release_idle();
        assert!(!handshakes.charge(one) && handshakes.charge(other));
    }
}
