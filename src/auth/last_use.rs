//! The last use of a credential.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// The time of the last use, to the second. Requests write it at most once a second, without a lock.
#[derive(Debug, Default)]
pub(super) struct LastUse {
    /// Seconds since 1970; 0 if there was no use.
    seconds: AtomicU64,
}

impl LastUse {
    /// Notes a use at this time.
    pub(super) fn note(&self, now: SystemTime) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs);
        // Threads share the memory: most requests only read it.
        if self.seconds.load(Ordering::Relaxed) < seconds {
            self.seconds.store(seconds, Ordering::Relaxed);
        }
    }

    /// Takes over a use that was later.
    pub(super) fn take_over(&self, other: &Self) {
        self.seconds.fetch_max(other.seconds.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Returns the time of the last use; `None` if there was none.
    pub(super) fn time(&self) -> Option<SystemTime> {
        let seconds = Some(self.seconds.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

/// Two callers are the same, whenever they were last seen.
impl PartialEq for LastUse {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LastUse {}
