//! How many connections each address has.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::limits::AddressKey;

/// Counts connections by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    counts: Arc<Mutex<HashMap<AddressKey, usize>>>,
}

impl Connections {
    /// Counts one more connection, unless its address has `limit` already. It is counted until the guard is dropped.
    pub(super) fn add(&self, address: IpAddr, limit: usize) -> Option<ConnectionGuard> {
        let key = AddressKey::from(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(ConnectionGuard { connections: self.clone(), key })
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    connections: Connections,
    key: AddressKey,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connections.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let connections = Connections::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = connections.add(one, 2);
        let second = connections.add(one, 2);
        assert!(first.is_some() && second.is_some());
        assert!(connections.add(one, 2).is_none());
        assert!(connections.add(other, 2).is_some());
        drop(first);
        assert!(connections.add(one, 2).is_some());
        drop(second);
        assert!(connections.counts.lock().unwrap().is_empty(), "an address without connections is forgotten");
    }
}
