//! The queue of log-ins for verification: short, and in a fair order.

use std::collections::HashMap;

use super::failures::{Class, ClientKey, FailureRecord};
use crate::limits::AddressKey;

/// Maximum length of the queue. At about 20 ms of a core each, a client further back would give up before its turn.
const MAX_WAITING: usize = 64;

/// Length beyond which the queue is a crowd, and the newest log-in of each turn is verified first. A burst delays only
/// itself, and a log-in that comes later does not wait for all of it.
const CROWD: usize = 8;

/// A log-in in the queue.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) address: AddressKey,
    pub(super) client: ClientKey,
    /// The memory in KiB that its verification takes.
    pub(super) memory_kib: u32,
    pub(super) asked: T,
}

#[derive(Debug)]
struct Entry<T> {
    waiting: Waiting<T>,
    /// The turn in which its address reaches this log-in: addresses take turns, however many log-ins each has waiting.
    turn: u64,
    /// Log-ins of the same address that waited when it came.
    behind: u64,
    arrival: u64,
}

/// The queue: ordered by class, and in each class by turn of the address.
#[derive(Debug)]
pub(super) struct Queue<T> {
    entries: Vec<Entry<T>>,
    /// The turn of the last log-in taken.
    turn: u64,
    arrivals: u64,
}

/// The order of eviction from a full queue, greatest first: class, log-ins of the address and of the client, arrival.
type Precedence = (Class, usize, usize, u64);

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), turn: 0, arrivals: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a log-in; returns the one evicted from a full queue, which may be the same.
    pub(super) fn push(
        &mut self,
        waiting: Waiting<T>,
        class_of: impl Fn(&Waiting<T>) -> Class,
    ) -> Option<Waiting<T>> {
        let of_address = self.entries.iter().filter(|entry| entry.waiting.address == waiting.address);
        let (turn, behind) =
            of_address.fold((self.turn, 0), |(turn, behind), entry| (turn.max(entry.turn), behind + 1));
        let turn = turn + 1;
        self.arrivals += 1;
        self.entries.push(Entry { waiting, turn, behind, arrival: self.arrivals });
        if self.entries.len() <= MAX_WAITING {
            return None;
        }
        let mut addresses = HashMap::new();
        let mut clients = HashMap::new();
        for Entry { waiting, .. } in &self.entries {
            *addresses.entry(waiting.address).or_insert(0) += 1;
            *clients.entry(waiting.client).or_insert(0) += 1;
        }
        let precedence = |entry: &Entry<T>| -> Precedence {
            let Waiting { address, client, .. } = &entry.waiting;
            (class_of(&entry.waiting), addresses[address], clients[client], entry.arrival)
        };
        let (last, _) = self.entries.iter().enumerate().max_by_key(|(_, entry)| precedence(entry))?;
        Some(self.entries.swap_remove(last).waiting)
    }

    /// Removes and returns all log-ins that no longer need verification.
    pub(super) fn take(&mut self, is_over: impl Fn(&Waiting<T>) -> bool) -> Vec<Waiting<T>> {
        self.entries.extract_if(.., |entry| is_over(&entry.waiting)).map(|entry| entry.waiting).collect()
    }

    /// Takes the next log-in, if there is room for it now.
    pub(super) fn next(
        &mut self,
        class_of: impl Fn(&Waiting<T>) -> Class,
        has_room: impl Fn(Class, u32) -> bool,
    ) -> Option<(Class, Waiting<T>)> {
        let is_crowded = self.entries.len() > CROWD;
        let classed = self.entries.iter().enumerate().map(|(index, entry)| {
            let class = class_of(&entry.waiting);
            if is_crowded {
                return ((class, entry.behind, u64::MAX - entry.arrival), index);
            }
            ((class, entry.turn, entry.arrival), index)
        });
        let ((class, ..), index) = classed.min()?;
        let turn = self.entries[index].turn;
        // Nothing may overtake a log-in that does not fit: it could wait for ever.
        if !has_room(class, self.entries[index].waiting.memory_kib) {
            return None;
        }
        self.turn = self.turn.max(turn);
        Some((class, self.entries.swap_remove(index).waiting))
    }
}

/// Returns the class of a log-in that is not refused.
pub(super) fn class_of(standing: FailureRecord) -> Class {
    match standing {
        FailureRecord::Waits(class) => class,
        FailureRecord::Refused(_) => Class::FailedAddress,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// Creates a log-in of this address and client; its class is stored in place of a secret.
    fn waiting(address: u8, client: ClientKey, class: Class) -> Waiting<Class> {
        Waiting { address: IpAddr::from([192, 0, 2, address]).into(), client, memory_kib: 1, asked: class }
    }

    fn of(waiting: &Waiting<Class>) -> Class {
        waiting.asked
    }

    fn address(waiting: &Waiting<Class>) -> u8 {
        (0..=255).find(|last| AddressKey::from(IpAddr::from([192, 0, 2, *last])) == waiting.address).unwrap()
    }

    fn order(queue: &mut Queue<Class>) -> Vec<u8> {
        std::iter::from_fn(|| queue.next(of, |_, _| true)).map(|(_, next)| address(&next)).collect()
    }

    use Class::{FailedAddress, SuspectedClient, Unsuspected};

    #[test]
    fn who_has_not_failed_comes_first_and_addresses_take_turns() {
        let mut queue = Queue::new();
        for (number, class) in [
            (1, FailedAddress),
            (1, FailedAddress),
            (2, FailedAddress),
            (3, SuspectedClient),
            (4, Unsuspected),
            (4, Unsuspected),
            (5, Unsuspected),
        ] {
            assert!(queue.push(waiting(number, 0, class), of).is_none());
        }
        assert_eq!(order(&mut queue), [4, 5, 4, 3, 1, 2, 1]);
    }

    #[test]
    fn an_address_with_many_log_ins_neither_blocks_others_nor_starves() {
        let mut queue = Queue::new();
        (0..4).for_each(|_| assert!(queue.push(waiting(1, 0, Unsuspected), of).is_none()));
        let mut served = Vec::new();
        for newcomer in 2..6 {
            queue.push(waiting(newcomer, 0, Unsuspected), of);
            served.push(address(&queue.next(of, |_, _| true).unwrap().1));
        }
        served.extend(order(&mut queue));
        assert_eq!(served, [1, 2, 1, 3, 4, 1, 5, 1]);
    }

    #[test]
    fn the_last_class_gives_way_first_and_in_it_the_busiest_address() {
        let mut queue = Queue::new();
        for number in 0..40 {
            queue.push(waiting(number, 0, FailedAddress), of);
        }
        for _ in 40..MAX_WAITING {
            queue.push(waiting(200, 0, Unsuspected), of);
        }
        let gone = queue.push(waiting(201, 0, Unsuspected), of).unwrap();
        assert_eq!(address(&gone), 39, "the last of those who failed");
        queue.push(waiting(5, 0, FailedAddress), of);
        let gone = queue.push(waiting(202, 0, Unsuspected), of).unwrap();
        assert_ne!(gone.asked, Unsuspected);
        queue.take(|waiting| waiting.asked == FailedAddress);
        for number in 0..40 {
            queue.push(waiting(number, 0, Unsuspected), of);
        }
        assert_eq!(address(&queue.push(waiting(203, 0, Unsuspected), of).unwrap()), 200, "the one with most");
    }

    #[test]
    fn of_equal_addresses_the_client_with_most_gives_way() {
        let mut queue = Queue::new();
        for number in 0..64 {
            queue.push(waiting(number, 7, Unsuspected), of);
        }
        let gone = queue.push(waiting(100, 8, Unsuspected), of).unwrap();
        assert_eq!(gone.client, 7, "strangers with one name do not push out another");
    }

    #[test]
    fn what_does_not_fit_is_waited_for() {
        let mut queue = Queue::new();
        let large = Waiting { memory_kib: 100, ..waiting(1, 0, Unsuspected) };
        queue.push(large, of);
        queue.push(waiting(2, 0, Unsuspected), of);
        assert!(queue.next(of, |_, kib| kib < 50).is_none());
        assert_eq!(order(&mut queue), [1, 2]);
    }

    #[test]
    fn of_a_crowd_the_newest_are_verified_first_and_each_address_in_its_order() {
        let mut queue = Queue::new();
        for number in 1..=10 {
            assert!(queue.push(waiting(number, 1, Class::Unsuspected), of).is_none());
        }
        assert!(queue.push(waiting(10, 1, Class::Unsuspected), of).is_none(), "its second");
        assert!(queue.push(waiting(200, 1, Class::FailedAddress), of).is_none());
        let order = order(&mut queue);
        assert_eq!(order[..4], [10, 9, 8, 7], "while they are a crowd");
        assert_eq!(order[4..], [1, 2, 3, 4, 5, 6, 10, 200], "then in turn, and those who failed last");
    }
}
