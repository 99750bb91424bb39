//! Past log-in failures, and the treatment of the next log-in.
//!
//! An address that has failed too often is refused for a while. A client id is never refused, as strangers could then
//! lock a client out by failing in its name from many addresses. Such log-ins only wait behind others, but before those
//! from addresses that have failed themselves. As many clients may share an address, a client that has logged in from
//! it before is judged by its own failures only. This is a device cookie, as OWASP calls it, but kept here.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use crate::{
    config::QuotaSettings,
    limits::{AddressKey, buckets::Buckets, burst},
};

/// Time for which a successful log-in makes the same client trusted at the same address.
const TRUSTED_TIME: Duration = Duration::from_hours(24);

/// Most pairs of client and address that are remembered. The oldest is evicted.
const MAX_TRUSTED: usize = 16_384;

/// The class of a log-in in the queue. The lowest is verified first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// No recent failure of the address or the client.
    Unsuspected,
    /// Too many recent failures of this client id, from other addresses.
    SuspectedClient,
    /// A recent failure of the address.
    FailedAddress,
}

/// The decision on a log-in before its verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureRecord {
    Waits(Class),
    /// The address is refused for this time.
    Refused(Duration),
}

/// The hash of a client id, constant during the life of the process.
pub(super) type ClientKey = u64;

/// Past log-ins, as far as they affect the next.
#[derive(Debug)]
pub(super) struct Failures {
    addresses: Buckets<AddressKey>,
    clients: Buckets<ClientKey>,
    trusted: HashMap<(AddressKey, ClientKey), Trust>,
    hasher: RandomState,
    /// Number of failures that end the trust in a client.
    patience: u32,
    max_trusted: usize,
}

#[derive(Clone, Copy, Debug)]
struct Trust {
    until: Instant,
    failed: u32,
}

impl Failures {
    pub(super) fn new(quota: &QuotaSettings) -> Self {
        Self {
            addresses: Buckets::new(quota),
            clients: Buckets::new(quota),
            trusted: HashMap::new(),
            hasher: RandomState::new(),
            patience: burst(quota).get(),
            max_trusted: MAX_TRUSTED,
        }
    }

    /// Replaces the buckets by full ones of another size.
    pub(super) fn resize(&mut self, quota: &QuotaSettings) {
        self.addresses = Buckets::new(quota);
        self.clients = Buckets::new(quota);
        self.patience = burst(quota).get();
    }

    pub(super) fn key(&self, client_id: &str) -> ClientKey {
        self.hasher.hash_one(client_id)
    }

    pub(super) fn standing(&self, address: AddressKey, client: ClientKey, now: Instant) -> FailureRecord {
        match self.trusted.get(&(address, client)) {
            Some(trust) if trust.until > now && trust.failed == 0 => {
                return FailureRecord::Waits(Class::Unsuspected);
            }
            Some(trust) if trust.until > now => return FailureRecord::Waits(Class::FailedAddress),
            _ => {}
        }
        if let Some(wait) = self.addresses.wait(&address, now) {
            FailureRecord::Refused(wait)
        } else if self.addresses.is_charged(&address, now) {
            FailureRecord::Waits(Class::FailedAddress)
        } else if self.clients.wait(&client, now).is_some() {
            FailureRecord::Waits(Class::SuspectedClient)
        } else {
            FailureRecord::Waits(Class::Unsuspected)
        }
    }

    pub(super) fn failed(&mut self, address: AddressKey, client: ClientKey, now: Instant) {
        self.addresses.charge(address, now);
        self.clients.charge(client, now);
        if let Some(trust) = self.trusted.get_mut(&(address, client)) {
            trust.failed += 1;
            if trust.failed >= self.patience {
                self.trusted.remove(&(address, client));
            }
        }
    }

    pub(super) fn succeeded(&mut self, address: AddressKey, client: ClientKey, now: Instant) {
        let key = (address, client);
        if self.trusted.len() >= self.max_trusted && !self.trusted.contains_key(&key) {
            self.trusted.retain(|_, trust| trust.until > now);
            if self.trusted.len() >= self.max_trusted {
                let oldest = self.trusted.iter().min_by_key(|(_, trust)| trust.until).map(|(key, _)| *key);
                oldest.and_then(|oldest| self.trusted.remove(&oldest));
            }
        }
        self.trusted.insert(key, Trust { until: now + TRUSTED_TIME, failed: 0 });
    }

    /// Removes full buckets and expired trust.
    pub(super) fn release_idle(&mut self, now: Instant) {
        self.addresses.forget_full(now);
        self.clients.forget_full(now);
        self.trusted.retain(|_, trust| trust.until > now);
        self.addresses.shrink();
        self.clients.shrink();
        self.trusted.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(number: u8) -> AddressKey {
        IpAddr::from([192, 0, 2, number]).into()
    }

    fn failures() -> Failures {
        Failures::new(&QuotaSettings { requests: 3, period_seconds: 300 })
    }

    #[test]
    fn an_address_that_failed_waits_behind_others_and_is_refused_in_the_end() {
        let (mut failures, now) = (failures(), Instant::now());
        let (shop, other) = (failures.key("shop"), failures.key("other"));
        assert_eq!(failures.standing(address(1), shop, now), FailureRecord::Waits(Class::Unsuspected));
        failures.failed(address(1), shop, now);
        assert_eq!(failures.standing(address(1), other, now), FailureRecord::Waits(Class::FailedAddress));
        failures.failed(address(1), shop, now);
        failures.failed(address(1), shop, now);
        let refused = FailureRecord::Refused(Duration::from_secs(100));
        assert_eq!(failures.standing(address(1), other, now), refused, "whatever client it says it is");
        let later = now + Duration::from_secs(100);
        assert_eq!(failures.standing(address(1), shop, later), FailureRecord::Waits(Class::FailedAddress));
        let much_later = now + Duration::from_mins(5);
        assert_eq!(failures.standing(address(1), shop, much_later), FailureRecord::Waits(Class::Unsuspected));
    }

    #[test]
    fn a_client_is_never_locked_out_by_others_who_fail_in_its_name() {
        let (mut failures, now) = (failures(), Instant::now());
        let (shop, other) = (failures.key("shop"), failures.key("other"));
        failures.succeeded(address(9), shop, now);
        (1..=8).for_each(|number| failures.failed(address(number), shop, now));
        assert_eq!(failures.standing(address(10), shop, now), FailureRecord::Waits(Class::SuspectedClient));
        assert_eq!(failures.standing(address(10), other, now), FailureRecord::Waits(Class::Unsuspected));
        assert_eq!(failures.standing(address(9), shop, now), FailureRecord::Waits(Class::Unsuspected));
        assert!(Class::SuspectedClient < Class::FailedAddress, "who failed is behind");
    }

    #[test]
    fn a_client_with_a_good_log_in_does_not_suffer_for_its_neighbours() {
        let (mut failures, now) = (failures(), Instant::now());
        let (shop, other) = (failures.key("shop"), failures.key("other"));
        failures.succeeded(address(1), shop, now);
        (0..3).for_each(|_| failures.failed(address(1), other, now));
        assert_eq!(failures.standing(address(1), shop, now), FailureRecord::Waits(Class::Unsuspected));
        failures.failed(address(1), shop, now);
        assert_eq!(failures.standing(address(1), shop, now), FailureRecord::Waits(Class::FailedAddress));
        (0..2).for_each(|_| failures.failed(address(1), shop, now));
        assert!(
            matches!(failures.standing(address(1), shop, now), FailureRecord::Refused(_)),
            "its own failures"
        );
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_an_end() {
        let (mut failures, now) = (failures(), Instant::now());
        failures.max_trusted = 3;
        for number in 0..10 {
            let now = now + Duration::from_secs(number);
            failures.succeeded(address(1), number, now);
            assert!(failures.trusted.len() <= 3);
        }
        assert!(failures.trusted.contains_key(&(address(1), 9)), "the oldest gave way");
        failures.failed(address(1), 1, now);
        failures.release_idle(now + TRUSTED_TIME + Duration::from_secs(9));
        assert!(failures.trusted.is_empty() && !failures.addresses.is_charged(&address(1), now));
    }
}
