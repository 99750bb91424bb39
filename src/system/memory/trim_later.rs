//! The return of memory to the system after large requests: on a separate thread, and only while there is something to
//! return.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::trim_heap;

/// Size below which blocks are reused soon, so nothing is returned for them.
const LARGE_BYTES: usize = 256 * 1024;

/// Time between two rounds: a round takes milliseconds, and memory that is reused at once is better kept.
const PAUSE: Duration = Duration::from_secs(2);

/// Rounds after the last large block: its response may take a while to be read.
const LAST_ROUNDS: usize = 2;

/// Bytes of large blocks since the last round.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// True while a thread returns memory.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Records that a block of this size is in use and will be freed soon. Soon after large blocks, memory that the
/// allocator keeps is returned to the system.
pub fn trim_heap_later(bytes: usize) {
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
        tracing::warn!(%error, "failed to start the thread that trims the heap");
    }
}

/// Returns memory until no large block was in use for a while.
fn rounds() {
    loop {
        let mut left = LAST_ROUNDS;
        while left > 0 {
            // Spurious wake-ups are harmless: a round is only early.
            thread::park_timeout(PAUSE);
            left = if PENDING.swap(0, Ordering::AcqRel) > 0 { LAST_ROUNDS } else { left - 1 };
            trim_heap();
        }
        IS_RUNNING.store(false, Ordering::Release);
        // A block recorded between the two would otherwise wait for the next one.
        if PENDING.load(Ordering::Acquire) == 0 || IS_RUNNING.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}
