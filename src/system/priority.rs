//! Giving way.

/// How far a thread gives way, as nice(1) counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It gets as much as a request, but not at one go: a long request beside short ones.
    InShortTurns = 0,
    /// At a tenth of the weight of a request there is progress even beside full load: somebody waits for a rollback.
    Behind = 10,
    /// What is left over: nobody waits for a proof.
    Last = 19,
}

/// How long a thread that gave way runs before another one may: without it, a request that arrives waits for milliseconds,
/// until the usual slice of the thread on its CPU is over.
const SLICE_NANOSECONDS: u64 = 100_000;

/// Makes this thread, and those that it starts, give way to the others of this process and of the machine. Where the
/// kernel knows nothing of slices for ordinary threads (before Linux 6.12), only the weight counts.
///
/// Linux keeps the priority by thread, whatever POSIX says.
pub fn give_way(way: Way) {
    #[cfg(target_os = "linux")]
    if let Err(error) = set_attributes(way) {
        tracing::debug!(%error, "the priority stays what it is");
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no function for this system call")]
fn set_attributes(way: Way) -> std::io::Result<()> {
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
    // SAFETY: sched_setattr(2) reads `size` bytes of the structure, which lives until it returns, for the calling thread
    // (0) and without flags (0); it changes nothing else.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
