//! Requests in progress of each caller, for plans that limit them.

use std::{
    collections::hash_map::Entry,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::capped_store::{ByCaller, CallerKey};
use crate::auth::Caller;

/// Number of parts, each with its own lock.
const PARTS: usize = 16;

/// The number of requests in progress of each caller that has any.
#[derive(Debug, Default)]
pub(super) struct Concurrency {
    parts: [Mutex<ByCaller<u32>>; PARTS],
}

/// The place of one request among those of its caller, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    concurrency: Arc<Concurrency>,
    key: CallerKey,
}

impl Concurrency {
    /// Returns a place for a request; `None` if the caller has `most` in progress already.
    pub(super) fn enter(self: &Arc<Self>, caller: &Caller, most: u32) -> Option<Place> {
        let key = CallerKey::from(caller);
        let mut part = self.part(&key);
        let running = part.entry(key).or_default();
        if *running >= most {
            return None;
        }
        *running += 1;
        Some(Place { concurrency: Arc::clone(self), key })
    }

    /// Locks the part of a caller, for a look-up only.
    #[expect(clippy::cast_possible_truncation, reason = "some bits of it")]
    fn part(&self, key: &CallerKey) -> MutexGuard<'_, ByCaller<u32>> {
        let part = &self.parts[key.high() as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut part = self.concurrency.part(&self.key);
        if let Entry::Occupied(mut running) = part.entry(self.key) {
            *running.get_mut() -= 1;
            if *running.get() == 0 {
                running.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    #[test]
    fn a_place_is_free_again_once_its_request_has_ended() {
        let caller = |subject: &str| Caller::new("i".to_owned(), subject.to_owned(), Scopes::default(), None);
        let running = Arc::new(Concurrency::default());
        let enter = |subject| running.enter(&caller(subject), 2);
        let (first, second) = (enter("a"), enter("a"));
        assert!(first.is_some() && second.is_some());
        assert!(enter("a").is_none());
        assert!(enter("b").is_some(), "another caller has places of its own");
        drop(first);
        assert!(enter("a").is_some());
        drop(second);
        assert!(running.parts.iter().all(|part| part.lock().unwrap().is_empty()), "nothing is left");
    }
}
