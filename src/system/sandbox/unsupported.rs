//! Systems without a sandbox: every restriction is reported as missing.

use std::path::Path;

use rustix::io::{Errno, Result as Done};

/// Fails: only Linux ends a process with its parent.
pub(super) fn end_with_parent() -> Done<()> {
    Err(Errno::NOSYS)
}

/// Fails: only Linux has `no_new_privs`.
pub(super) fn renounce_privileges() -> Done<()> {
    Err(Errno::NOSYS)
}

/// Fails: only Linux has a score for running out of memory.
pub(super) fn be_killed_first() -> Done<()> {
    Err(Errno::NOSYS)
}

/// Fails: the limit on core dumps is all that there is.
pub(super) fn forbid_dumps() -> Done<()> {
    Err(Errno::NOSYS)
}

/// Fails with the reason.
pub(super) fn restrict_files(_readable: &[&Path], _writable: Option<&Path>) -> Result<&'static str, String> {
    Err("this system has no Landlock".to_owned())
}

/// Fails with the reason.
pub(super) fn restrict_calls(_may_write: bool, _may_thread: bool) -> Result<(), String> {
    Err("this system has no seccomp".to_owned())
}
