//! The sandbox that a process enters before it opens an untrusted model.
//!
//! Entering takes two steps, since ONNX Runtime must be loaded between them: [`limit`] first, before any thread exists,
//! then [`enter`]. After that the process can read its model, compute and write its report. It cannot use the network,
//! another file, another program or another process.
//!
//! Only Linux has the sandbox ([`IS_SUPPORTED`]). Elsewhere [`enter`] reports each restriction as missing, and a model is
//! proven without them only where the settings say so.
//!
//! The sandbox prevents accidental harm by a bad model and limits the reach of an exploit. It does not prove that there
//! is no exploit: an attacker who controls the child can still forge its report.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod unsupported;

use std::{io, path::Path};

use rustix::process::{Resource, Rlimit, getppid, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use unsupported as platform;

use super::priority;

/// True if this system can have the sandbox; its kernel may still lack parts of it.
pub const IS_SUPPORTED: bool = cfg!(target_os = "linux");

/// Most open files; ONNX Runtime needs five.
const MAX_FILES: u64 = 64;

/// Stack size of the process: half of that of the server's threads for models.
const STACK_BYTES: u64 = 8 << 20;

/// Resource limits of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space in bytes.
    pub memory_bytes: u64,
    /// Seconds of CPU time.
    pub cpu_seconds: u64,
    /// Largest file that it may write; 0 for none.
    pub file_bytes: u64,
}

/// The restrictions that the kernel enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// Restriction of files and sockets (Landlock): `full`, `partial` or `none`.
    pub landlock: String,
    /// True if system calls are filtered (seccomp).
    pub seccomp: bool,
    /// Restrictions that are not available, as text.
    pub missing: Vec<String>,
}

impl Enforcement {
    /// Returns true if files, sockets and system calls are restricted.
    #[must_use]
    pub fn is_sandboxed(&self) -> bool {
        self.landlock != "none" && self.seccomp
    }
}

/// Makes this process end with the thread of `parent` that started it, and lowers its priority below all others.
///
/// # Errors
///
/// If `parent` has already ended.
pub fn depend_on(parent: u32) -> io::Result<()> {
    platform::end_with_parent()?;
    priority::set_niceness(priority::Niceness::Idle);
    check_parent(parent)
}

/// Fails if the parent died before the signal was requested, as none comes then.
fn check_parent(parent: u32) -> io::Result<()> {
    if getppid().is_none_or(|now| now.as_raw_nonzero().get().unsigned_abs() != parent) {
        return Err(io::Error::other("the process that started this one is gone"));
    }
    Ok(())
}

/// Sets limits and cuts the ties to the parent. Must be called before any thread is started.
///
/// # Errors
///
/// If `parent` has already ended, or a limit that protects the machine cannot be set.
pub fn limit(limits: Limits, parent: u32) -> io::Result<Enforcement> {
    let mut missing = Vec::new();
    let mut try_to = |what: &str, done: rustix::io::Result<()>| {
        if let Err(error) = done {
            missing.push(format!("{what}: {error}"));
        }
    };
    try_to("no_new_privs", platform::renounce_privileges());
    try_to("death with the parent", platform::end_with_parent());
    check_parent(parent)?;
    try_to("oom_score_adj", platform::be_killed_first());
    priority::set_niceness(priority::Niceness::Idle);
    let set = |resource, soft: u64, hard: u64| {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
    };
    let memory = set(Resource::As, limits.memory_bytes, limits.memory_bytes);
    if IS_SUPPORTED {
        memory?;
    } else {
        // Other systems may refuse a limit that Linux accepts.
        try_to("limit of the address space", memory);
    }
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds + 1)?;
    set(Resource::Fsize, limits.file_bytes, limits.file_bytes)?;
    // The new limit must not exceed the current hard limit.
    let files = getrlimit(Resource::Nofile).maximum.map_or(MAX_FILES, |most| most.min(MAX_FILES));
    set(Resource::Nofile, files, files)?;
    let stack = getrlimit(Resource::Stack).maximum.map_or(STACK_BYTES, |most| most.min(STACK_BYTES));
    set(Resource::Stack, stack, stack)?;
    set(Resource::Core, 0, 0)?;
    try_to("not dumpable", platform::forbid_dumps());
    Ok(Enforcement { landlock: "none".to_owned(), seccomp: false, missing })
}

/// Drops all rights except reading `readable`, writing new files into `writable`, and computing, on one thread unless
/// `may_thread`.
///
/// A restriction that the kernel lacks is recorded in `enforcement` and is not an error: the limits of [`limit`] always
/// hold.
pub fn enter(enforcement: &mut Enforcement, readable: &[&Path], writable: Option<&Path>, may_thread: bool) {
    match platform::restrict_files(readable, writable) {
        Ok(degree) => degree.clone_into(&mut enforcement.landlock),
        Err(reason) => enforcement.missing.push(reason),
    }
    // Without Landlock nothing else would restrict where it writes.
    let may_write = writable.is_some() && enforcement.landlock != "none";
    match platform::restrict_calls(may_write, may_thread) {
        Ok(()) => enforcement.seccomp = true,
        Err(reason) => enforcement.missing.push(reason),
    }
}
