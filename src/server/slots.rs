//! Room for so many connections; how many may change.

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

use super::listener::ListenerLimits;

/// Counts the connections of one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    taken: Arc<watch::Sender<usize>>,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot(Slots);

impl Slots {
    /// Waits until there is room within the limits, as they are then, and takes it.
    pub(super) async fn take(&self, limits: &watch::Receiver<ListenerLimits>) -> Slot {
        let (mut taken, mut limits) = (self.taken.subscribe(), limits.clone());
        loop {
            let most = limits.borrow_and_update().max_connections;
            taken.mark_unchanged();
            if self.taken.send_if_modified(|taken| {
                let room = *taken < most;
                *taken += usize::from(room);
                room
            }) {
                return Slot(self.clone());
            }
            tokio::select! {
                Ok(()) = taken.changed() => {}
                Ok(()) = limits.changed() => {}
                else => pending().await,
            }
        }
    }

    /// Waits until nobody has one.
    pub(super) async fn all_free(&self) {
        // The sender lives in `self`, so this ends only when it says so.
        let _ = self.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;
    use crate::config::ServerSettings;

    fn limits(max_connections: usize) -> ListenerLimits {
        ListenerLimits::of(&ServerSettings { max_connections, ..ServerSettings::default() })
    }

    /// What a future has to say without being waited for.
    async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn there_is_room_for_as_many_as_the_limits_say_now() {
        let slots = Slots::default();
        let (change, limits_now) = watch::channel(limits(1));
        let first = poll_once(slots.take(&limits_now)).await;
        assert!(first.is_some());
        assert!(poll_once(slots.take(&limits_now)).await.is_none());
        change.send_replace(limits(2));
        let second = poll_once(slots.take(&limits_now)).await;
        assert!(second.is_some());
        change.send_replace(limits(1));
        drop(first);
        assert!(poll_once(slots.take(&limits_now)).await.is_none(), "the second is still there");
        drop(second);
        assert!(poll_once(slots.take(&limits_now)).await.is_some());
    }

    #[tokio::test]
    async fn whoever_waits_learns_of_room_and_of_other_limits() {
        let slots = Slots::default();
        let (change, limits_now) = watch::channel(limits(1));
        let first = slots.take(&limits_now).await;
        let (second, ()) = tokio::join!(slots.take(&limits_now), async { drop(first) });
        let (_third, _) = tokio::join!(slots.take(&limits_now), async { change.send_replace(limits(2)) });
        drop(second);
    }
}
