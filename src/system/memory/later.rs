//! Giving memory back after large requests: on no thread that answers, and only while there is something to give.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::give_back;

/// Blocks below this size are used again soon: nothing is done for them.
const LARGE_BYTES: usize = 256 * 1024;

/// The time between two rounds: giving back takes milliseconds, and what is used again at once is better kept.
const PAUSE: Duration = Duration::from_secs(2);

/// Rounds after the last large block: its answer may take a while to be read.
const LAST_ROUNDS: usize = 2;

/// Bytes of large blocks since the last round.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// True while a thread gives memory back.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Notes that a block of this size is in use, and will be freed soon. Shortly after large ones, what the allocator keeps
/// of freed memory is given back to the system.
pub fn freed_later(bytes: usize) {
    if bytes < LARGE_BYTES {
        return;
    }
    PENDING.fetch_add(bytes, Ordering::AcqRel);
    if IS_RUNNING.swap(true, Ordering::AcqRel) {
        return;
    }
    let started = thread::Builder::new().name("memory".to_owned()).spawn(rounds);
    if let Err(error) = started {
        IS_RUNNING.store(false, Ordering::Release);
        tracing::warn!(%error, "failed to start the thread that gives memory back");
    }
}

/// Gives memory back until nothing large was in use for a while.
fn rounds() {
    loop {
        let mut left = LAST_ROUNDS;
        while left > 0 {
            // Nothing wakes it, and an early round would do no harm.
            thread::park_timeout(PAUSE);
            left = if PENDING.swap(0, Ordering::AcqRel) > 0 { LAST_ROUNDS } else { left - 1 };
            give_back();
        }
        IS_RUNNING.store(false, Ordering::Release);
        // A block that came between the two would otherwise wait for the next one.
        if PENDING.load(Ordering::Acquire) == 0 || IS_RUNNING.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}
