//! The fork of this process.

use std::{fs, io};

use rustix::process::Pid;

/// Forks this process, and returns the child's process id; `None` in the child.
///
/// # Errors
///
/// If this process has more than one thread, as the child would have only one, or if the system cannot create another
/// process.
pub fn fork() -> io::Result<Option<Pid>> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads is not copied"));
    }
    copy()
}

#[expect(unsafe_code, reason = "the C library has no safe form of it")]
fn copy() -> io::Result<Option<Pid>> {
    // SAFETY: what makes fork(2) unsafe is other threads, whose locks stay held for ever in the copy. This process has
    // one thread, and only that one could have started another since they were counted.
    let copy = unsafe { libc::fork() };
    if copy < 0 { Err(io::Error::last_os_error()) } else { Ok(Pid::from_raw(copy)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_threads_is_not_copied() {
        // A test runs in its own thread.
        let error = fork().unwrap_err();
        assert!(error.to_string().contains("several threads"), "{error}");
    }
}
