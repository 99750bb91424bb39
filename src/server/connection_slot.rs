//! The state of one connection, for the choice of one to close.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_util::task::AtomicWaker;

use crate::system::clock::coarse_microseconds;

/// The state of a connection: busy with a request, or idle since some time.
///
/// An incomplete head does not count as a request, nor do frames without one.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    is_busy: AtomicBool,
    idle_since: AtomicU64,
    /// The response was handed over but is not written yet.
    is_answered: AtomicBool,
    is_leaving: AtomicBool,
    waker: AtomicWaker,
}

impl ConnectionSlot {
    /// Creates a slot that is idle from now on.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            is_busy: AtomicBool::new(false),
            idle_since: AtomicU64::new(coarse_microseconds()),
            is_answered: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        })
    }

    /// Marks the connection as busy with a request.
    pub(super) fn begin(&self) {
        self.is_answered.store(false, Ordering::Relaxed);
        self.is_busy.store(true, Ordering::Relaxed);
    }

    /// Marks the connection as idle from now on.
    pub(super) fn rest(&self) {
        self.idle_since.store(coarse_microseconds(), Ordering::Relaxed);
        self.is_busy.store(false, Ordering::Relaxed);
    }

    /// Records that the whole response was handed over.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// Records that everything handed over is written. Returns true if that ends a response.
    pub(super) fn flushed(&self) -> bool {
        let ends = self.is_answered.load(Ordering::Relaxed);
        if ends {
            self.is_answered.store(false, Ordering::Relaxed);
            self.rest();
        }
        ends
    }

    /// Returns true while a request is in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }

    /// Returns the time since which the connection has been idle, in microseconds of the coarse clock; `None` while it
    /// is busy.
    pub(super) fn idle_since(&self) -> Option<u64> {
        (!self.is_busy()).then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Returns true if the connection was dismissed.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Dismisses the connection.
    pub(super) fn give_way(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Returns ready once the connection is dismissed. `known` is the waker of the last call: that of a task stays the
    /// same, so it is registered once.
    pub(super) fn poll_leaving(&self, context: &mut Context<'_>, known: &mut Option<Waker>) -> Poll<()> {
        if known.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
            self.waker.register(context.waker());
            *known = Some(context.waker().clone());
        }
        if self.is_leaving() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_slot_is_busy_from_its_request_until_the_answer_is_written() {
        let slot = ConnectionSlot::new();
        assert!(slot.idle_since().is_some());
        slot.begin();
        assert!(!slot.flushed(), "a part of the answer");
        assert!(slot.is_busy() && slot.idle_since().is_none());
        slot.answered();
        assert!(slot.is_busy(), "the answer is not written yet");
        assert!(slot.flushed());
        assert!(!slot.is_busy() && !slot.flushed());
        assert!(!slot.is_leaving());
        let mut waker = None;
        let leaving = poll_fn(|context| slot.poll_leaving(context, &mut waker));
        tokio::join!(leaving, async { slot.give_way() });
        assert!(slot.is_leaving());
    }
}
