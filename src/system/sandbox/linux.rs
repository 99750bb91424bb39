//! The sandbox of Linux: Landlock restricts files and sockets, seccomp restricts system calls.

mod filter;

use std::{io, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};

/// Locales, which text operators read; without them the sandbox would make such a model fail.
const LOCALES: [&str; 2] = ["/usr/lib/locale", "/usr/share/i18n"];

/// Makes this process end with the thread that started it.
pub(super) fn end_with_parent() -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
}

/// Keeps programs that this process might start from gaining rights.
pub(super) fn renounce_privileges() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)
}

/// Makes the kernel kill this process, and not the server, if memory runs out nevertheless.
pub(super) fn be_killed_first() -> rustix::io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "1000").map_err(errno)
}

/// Forbids dumps and tracing. A core dump that is piped to a program ignores the limit of its size.
pub(super) fn forbid_dumps() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Leaves only reading of `readable` and writing of new files into `writable`. Returns the degree of enforcement, or the
/// reason why there is none.
pub(super) fn restrict_files(readable: &[&Path], writable: Option<&Path>) -> Result<&'static str, String> {
    match enforce(readable, writable) {
        Ok(RulesetStatus::FullyEnforced) => Ok("full"),
        Ok(RulesetStatus::PartiallyEnforced) => Ok("partial"),
        Ok(RulesetStatus::NotEnforced) => Err("this kernel has no Landlock".to_owned()),
        Err(error) => Err(format!("Landlock: {error}")),
    }
}

/// Leaves only the system calls that computing needs. Returns the reason if that fails.
pub(super) fn restrict_calls(may_write: bool, may_thread: bool) -> Result<(), String> {
    filter::apply(may_write, may_thread).map_err(|error| format!("seccomp: {error}"))
}

fn enforce(readable: &[&Path], writable: Option<&Path>) -> Result<RulesetStatus, landlock::RulesetError> {
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
