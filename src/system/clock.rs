//! A coarse clock, for time that is read often and need not be exact.

use rustix::time::{ClockId, clock_gettime};

/// Returns the microseconds of a monotonic clock, exact to some milliseconds. Reading it costs a fraction of the exact
/// one.
#[must_use]
pub fn coarse_microseconds() -> u64 {
    #[cfg(target_os = "linux")]
    let now = clock_gettime(ClockId::MonotonicCoarse);
    #[cfg(not(target_os = "linux"))]
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1000)
}
