//! Scheduling priority of threads.

/// The niceness of a thread, as in nice(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Niceness {
    /// As much CPU time as a request, but in short slices: for long requests beside short ones.
    Interactive = 0,
    /// A tenth of a request's weight, which makes progress even beside full load: a client waits for a rollback.
    Background = 10,
    /// Only spare CPU time: no client waits for a proof.
    Idle = 19,
}

/// Slice of a thread with lower priority. Without it, an arriving request waits for milliseconds, until the usual slice
/// of the thread on its CPU is over.
#[cfg(target_os = "linux")]
const SLICE_NANOSECONDS: u64 = 100_000;

/// Lowers the priority of this thread, and of those that it starts, within this process and on the machine. On kernels
/// without slices for ordinary threads (before Linux 6.12) only the weight counts.
///
/// Linux keeps the priority per thread, contrary to POSIX.
#[cfg(target_os = "linux")]
pub fn set_niceness(way: Niceness) {
    if let Err(error) = set_attributes(way) {
        tracing::debug!(%error, "failed to set the scheduling priority");
    }
}

/// Does nothing: other systems have one priority for all threads of a process.
#[cfg(not(target_os = "linux"))]
pub fn set_niceness(_way: Niceness) {}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no function for this system call")]
fn set_attributes(way: Niceness) -> std::io::Result<()> {
    let size = size_of::<libc::sched_attr>();
    let attributes = libc::sched_attr {
        size: u32::try_from(size).unwrap_or(0),
        sched_policy: libc::SCHED_BATCH.unsigned_abs(),
        sched_flags: 0,
        sched_nice: way as i32,
        sched_priority: 0,
        sched_runtime: SLICE_NANOSECONDS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: sched_setattr(2) reads `size` bytes of the structure, which lives until it returns, for the calling
    // thread (0) and without flags (0); it changes nothing else.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
