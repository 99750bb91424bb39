//! The sandbox that a process enters before it opens an untrusted model.
//!
//! Entering takes two steps, since ONNX Runtime must be loaded between them: [`limit`] first, before any thread exists,
//! then [`enter`]. After that the process can read its model, compute and write its report. It cannot use the network,
//! another file, another program or another process.
//!
//! The sandbox prevents accidental harm by a bad model and limits the reach of an exploit. It does not prove that there
//! is no exploit: an attacker who controls the child can still forge its report.

mod filter;

use std::{io, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use serde::{Deserialize, Serialize};

use super::priority;

/// Locales, which text operators read; without them the sandbox would make such a model fail.
const LOCALES: [&str; 2] = ["/usr/lib/locale", "/usr/share/i18n"];

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

/// Makes this process end with the thread of `parent` that started it, and lowers its priority below all others.
///
/// # Errors
///
/// If `parent` has already ended.
pub fn depend_on(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
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
    try_to("no_new_privs", rustix::thread::set_no_new_privs(true));
    try_to("death with the parent", set_parent_process_death_signal(Some(Signal::KILL)));
    check_parent(parent)?;
    // If memory runs out nevertheless, the kernel should kill this process and not the server.
    try_to("oom_score_adj", std::fs::write("/proc/self/oom_score_adj", "1000").map_err(errno));
    priority::set_niceness(priority::Niceness::Idle);
    let set = |resource, soft: u64, hard: u64| {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
    };
    set(Resource::As, limits.memory_bytes, limits.memory_bytes)?;
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds + 1)?;
    set(Resource::Fsize, limits.file_bytes, limits.file_bytes)?;
    // The new limit must not exceed the current hard limit.
    let files = getrlimit(Resource::Nofile).maximum.map_or(MAX_FILES, |most| most.min(MAX_FILES));
    set(Resource::Nofile, files, files)?;
    let stack = getrlimit(Resource::Stack).maximum.map_or(STACK_BYTES, |most| most.min(STACK_BYTES));
    set(Resource::Stack, stack, stack)?;
    set(Resource::Core, 0, 0)?;
    // A core dump that is piped to a program ignores the limit.
    try_to("not dumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable));
    Ok(Enforcement { landlock: "none".to_owned(), seccomp: false, missing })
}

/// Drops all rights except reading `readable`, writing new files into `writable`, and computing, on one thread unless
/// `may_thread`.
///
/// A restriction that the kernel lacks is recorded in `enforcement` and is not an error: the limits of [`limit`] always
/// hold.
pub fn enter(enforcement: &mut Enforcement, readable: &[&Path], writable: Option<&Path>, may_thread: bool) {
    match restrict_files(readable, writable) {
        Ok(RulesetStatus::FullyEnforced) => "full".clone_into(&mut enforcement.landlock),
        Ok(RulesetStatus::PartiallyEnforced) => "partial".clone_into(&mut enforcement.landlock),
        Ok(RulesetStatus::NotEnforced) => enforcement.missing.push("this kernel has no Landlock".to_owned()),
        Err(error) => enforcement.missing.push(format!("Landlock: {error}")),
    }
    // Without Landlock nothing else would restrict where it writes.
    let may_write = writable.is_some() && enforcement.landlock != "none";
    match filter::apply(may_write, may_thread) {
        Ok(()) => enforcement.seccomp = true,
        Err(error) => enforcement.missing.push(format!("seccomp: {error}")),
    }
}

fn restrict_files(
    readable: &[&Path],
    writable: Option<&Path>,
) -> Result<RulesetStatus, landlock::RulesetError> {
    let abi = ABI::V7;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = AccessFs::MakeReg | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::ReadFile;
    let locales = LOCALES.iter().map(Path::new);
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(locales.chain(readable.iter().copied()), reading))?
        .add_rules(path_beneath_rules(writable, writing))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed over by map_err")]
fn errno(error: io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
}
