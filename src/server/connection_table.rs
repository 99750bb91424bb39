//! The open connections by address, and the choice of one to close when a new one needs room.
//!
//! An address has a fair share: at most `SHARE_OF_FREE` times as many connections as are free. One address thus leaves
//! at least a fifth free, four leave a seventeenth, and a new address always finds room. An address that wants more
//! replaces its own connection that has been idle longest. If all are in use, the address with the most connections
//! loses its longest idle one. Connections with a request in progress stay.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::connection_slot::ConnectionSlot;
use crate::limits::AddressKey;

/// Most connections of an address, as a multiple of those that are free.
const SHARE_OF_FREE: usize = 4;

/// Most connections of a trusted proxy, as such a multiple: it stands for many clients. `PROXY_WEIGHT` of its
/// connections count as one.
const PROXY_SHARE_OF_FREE: usize = 64;
const PROXY_WEIGHT: usize = 16;

/// Connections from this host that are accepted beyond the limit: its probes check the gateway's health.
pub(super) const FOR_THIS_HOST: usize = 16;

/// Connections that were chosen to close and are not closed yet are at most one in `PART_LEAVING`.
pub(super) const PART_LEAVING: usize = 16;
const LEAVING: RangeInclusive<usize> = 8..=128;

/// The current limits of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Most connections in total.
    pub(super) most: usize,
    /// Most connections of one address.
    pub(super) most_per_address: usize,
}

impl Room {
    fn most_leaving(&self) -> usize {
        (self.most / PART_LEAVING).clamp(*LEAVING.start(), *LEAVING.end())
    }
}

/// A new connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewConnection {
    pub(super) address: IpAddr,
    /// True if the peer is a trusted proxy, which stands for many clients.
    pub(super) is_proxy: bool,
    /// True if the peer is the machine that the gateway runs on.
    pub(super) is_this_host: bool,
}

/// The reason why a new connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The address has its share, and all of it is busy.
    Share,
    /// All connections are busy; there may be room soon.
    Full,
}

/// The connections of one or more listeners together.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionTable {
    state: Arc<Mutex<State>>,
    /// Number of open connections, including those that are leaving.
    open: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Default)]
struct State {
    addresses: HashMap<AddressKey, Held>,
    /// Number of connections that are not leaving.
    total: usize,
    leaving: usize,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Held {
    slots: Vec<Arc<ConnectionSlot>>,
    is_proxy: bool,
}

impl Held {
    /// Returns the number of connections that these count as.
    fn weight(&self) -> usize {
        if self.is_proxy { self.slots.len().div_ceil(PROXY_WEIGHT) } else { self.slots.len() }
    }

    /// Returns the connection that has been idle longest: the time since which it has been idle, and its index.
    fn longest_idle(&self) -> Option<(u64, usize)> {
        let idle = self.slots.iter().enumerate();
        idle.filter_map(|(index, slot)| Some((slot.idle_since()?, index))).min()
    }
}

impl ConnectionTable {
    /// Admits a new connection, if necessary in place of an idle one.
    pub(super) fn admit(&self, newcomer: NewConnection, room: Room) -> Result<Admitted, Refusal> {
        let key = AddressKey::from(newcomer.address);
        let mut state = self.lock();
        state.make_room(key, newcomer, room)?;
        let slot = ConnectionSlot::new();
        let held = state.addresses.entry(key).or_default();
        held.is_proxy = newcomer.is_proxy;
        held.slots.push(Arc::clone(&slot));
        state.total += 1;
        drop(state);
        self.open.send_modify(|open| *open += 1);
        Ok(Admitted { table: self.clone(), key, slot })
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_room(&mut self, key: AddressKey, newcomer: NewConnection, room: Room) -> Result<(), Refusal> {
        let own = self.addresses.get(&key).map_or(0, |held| held.slots.len());
        let free = room.most.saturating_sub(self.total);
        // The last free connection is for an address that has none.
        let free_for_more = free.saturating_sub(1);
        let times = if newcomer.is_proxy { PROXY_SHARE_OF_FREE } else { SHARE_OF_FREE };
        let share = free_for_more.saturating_mul(times);
        let most_of_one = if newcomer.is_proxy { usize::MAX } else { room.most_per_address };
        if free > 0 && own < most_of_one && (own == 0 || own < share) {
            return Ok(());
        }
        let has_its_share = free > 0 || own >= most_of_one;
        let most_leaving = room.most_leaving();
        // An address that replaces its own connections must not use up the room that others wait for.
        if has_its_share && self.leaving >= most_leaving / 2 {
            return Err(Refusal::Share);
        }
        if self.leaving >= most_leaving {
            return Err(Refusal::Full);
        }
        let gave_way = if has_its_share { self.dismiss_of(key) } else { self.dismiss_for(key) };
        // The limit may have been lowered.
        if gave_way && self.total < room.most {
            return Ok(());
        }
        if has_its_share {
            return Err(Refusal::Share);
        }
        if newcomer.is_this_host && self.total < room.most.saturating_add(FOR_THIS_HOST) {
            return Ok(());
        }
        Err(Refusal::Full)
    }

    /// Dismisses the longest idle connection of the address with the most, if it has more than `newcomer`, else of the
    /// newcomer's own. Returns true if there was one.
    fn dismiss_for(&mut self, newcomer: AddressKey) -> bool {
        let own = self.addresses.get(&newcomer).map_or(0, Held::weight);
        let mut most: Vec<(usize, AddressKey)> = self
            .addresses
            .iter()
            .filter(|(key, held)| **key == newcomer || held.weight() > own)
            .map(|(key, held)| (held.weight(), *key))
            .collect();
        most.sort_unstable_by_key(|(weight, _)| Reverse(*weight));
        for equals in most.chunk_by(|(one, _), (other, _)| one == other) {
            let idle = equals.iter().filter_map(|(_, key)| {
                let (since, _) = self.addresses.get(key)?.longest_idle()?;
                Some((since, *key))
            });
            if let Some((_, key)) = idle.min_by_key(|(since, _)| *since) {
                return self.dismiss_of(key);
            }
        }
        false
    }

    /// Dismisses the longest idle connection of an address. Returns true if there was one.
    fn dismiss_of(&mut self, key: AddressKey) -> bool {
        let Some(held) = self.addresses.get_mut(&key) else { return false };
        let Some((_, index)) = held.longest_idle() else { return false };
        held.slots.swap_remove(index).give_way();
        if held.slots.is_empty() {
            self.addresses.remove(&key);
        }
        self.total -= 1;
        self.leaving += 1;
        true
    }

    /// Removes a closed connection.
    fn remove(&mut self, key: AddressKey, slot: &Arc<ConnectionSlot>) {
        if slot.is_leaving() {
            self.leaving -= 1;
            return;
        }
        let Some(held) = self.addresses.get_mut(&key) else { return };
        if let Some(index) = held.slots.iter().position(|held| Arc::ptr_eq(held, slot)) {
            held.slots.swap_remove(index);
            self.total -= 1;
        }
        if held.slots.is_empty() {
            self.addresses.remove(&key);
        }
    }
}

/// An admitted connection; it is open until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    table: ConnectionTable,
    key: AddressKey,
    pub(super) slot: Arc<ConnectionSlot>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.table.lock().remove(self.key, &self.slot);
        self.table.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { most: 20, most_per_address: 10 };

    fn stranger(number: u8) -> NewConnection {
        NewConnection { address: [192, 0, 2, number].into(), is_proxy: false, is_this_host: false }
    }

    /// Returns the numbers of connections that stay and that are leaving.
    fn counts(table: &ConnectionTable) -> (usize, usize) {
        let state = table.lock();
        (state.total, state.leaving)
    }

    fn fill(table: &ConnectionTable, newcomer: NewConnection, room: Room) -> Vec<Admitted> {
        let admitted = std::iter::from_fn(|| table.admit(newcomer, room).ok());
        let busy = admitted.inspect(|admitted| admitted.slot.begin());
        busy.collect()
    }

    #[test]
    fn the_share_of_an_address_shrinks_as_the_total_fills() {
        let table = ConnectionTable::default();
        let held: Vec<Vec<Admitted>> = (0..20).map(|one| fill(&table, stranger(one), ROOM)).collect();
        let counts: Vec<usize> = held.iter().map(Vec::len).take_while(|count| *count > 0).collect();
        assert_eq!(
            counts,
            [10, 8, 1, 1],
            "busy ones are not cut, and the last free one is for a new address"
        );
        assert_eq!(table.admit(stranger(0), ROOM).unwrap_err(), Refusal::Share);
        assert_eq!(table.admit(stranger(30), ROOM).unwrap_err(), Refusal::Full);
        drop(held);
        assert!(table.lock().addresses.is_empty(), "an address without connections is forgotten");
        assert_eq!(table.lock().total, 0);
    }

    #[test]
    fn the_longest_idle_connection_of_the_address_with_most_gives_way() {
        let table = ConnectionTable::default();
        let room = Room { most: 6, most_per_address: 4 };
        let most = fill(&table, stranger(1), room);
        let few = fill(&table, stranger(2), room);
        let last = table.admit(stranger(3), room).unwrap();
        assert_eq!((most.len(), few.len()), (4, 1));
        few[0].slot.rest();
        most[2].slot.rest();
        let newcomer = table.admit(stranger(4), room).unwrap();
        assert!(most[2].slot.is_leaving() && !few[0].slot.is_leaving() && !last.slot.is_leaving());
        assert_eq!(counts(&table), (6, 1));
        drop(most);
        assert_eq!(counts(&table), (3, 0));
        drop((few, last, newcomer));
        assert_eq!((counts(&table), *table.open.borrow()), ((0, 0), 0));
    }

    #[test]
    fn an_address_with_its_share_gets_more_from_its_own() {
        let table = ConnectionTable::default();
        let room = Room { most: 20, most_per_address: 2 };
        let first = table.admit(stranger(1), room).unwrap();
        let second = table.admit(stranger(1), room).unwrap();
        let other = table.admit(stranger(2), room).unwrap();
        second.slot.begin();
        let third = table.admit(stranger(1), room).unwrap();
        assert!(first.slot.is_leaving() && !other.slot.is_leaving());
        third.slot.begin();
        assert_eq!(table.admit(stranger(1), room).unwrap_err(), Refusal::Share);
    }

    #[test]
    fn proxies_have_no_share_of_their_own_and_give_way_last() {
        let table = ConnectionTable::default();
        let proxy = NewConnection { is_proxy: true, ..stranger(1) };
        let of_proxy: Vec<Admitted> = (0..16).map(|_| table.admit(proxy, ROOM).unwrap()).collect();
        let of_stranger: Vec<Admitted> = (0..3).filter_map(|_| table.admit(stranger(2), ROOM).ok()).collect();
        let full = Room { most: table.lock().total, ..ROOM };
        assert!(of_stranger.len() > 1);
        let newcomer = table.admit(stranger(3), full).unwrap();
        assert!(of_stranger.iter().any(|admitted| admitted.slot.is_leaving()));
        assert!(!of_proxy.iter().any(|admitted| admitted.slot.is_leaving()));
        drop((newcomer, of_stranger));
    }

    #[test]
    fn this_host_is_let_into_a_full_house() {
        let table = ConnectionTable::default();
        let room = Room { most: 1, most_per_address: 1 };
        let _one = fill(&table, stranger(1), room);
        let host = NewConnection { is_this_host: true, ..stranger(2) };
        assert_eq!(table.admit(stranger(3), room).unwrap_err(), Refusal::Full);
        assert!(table.admit(host, room).is_ok());
    }
}
