//! The system calls that a sandboxed process may make.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// System calls that no computation needs: one attempt kills the process.
const DEADLY: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
];

/// System calls needed to compute, read files and exit. All others fail with EPERM.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// Installs the filters; they cannot be removed.
pub(super) fn apply(may_write: bool, may_thread: bool) -> Result<(), seccompiler::Error> {
    let deadly: Rules = DEADLY.iter().map(|call| (*call, Vec::new())).collect();
    let first = compile(deadly, SeccompAction::Allow, SeccompAction::KillProcess)?;
    let second = compile(allowed(may_write, may_thread)?, eperm(), SeccompAction::Allow)?;
    apply_filter_all_threads(&first)?;
    if may_thread {
        // A filter cannot see the arguments of `clone3`. Without it the C library uses `clone`, whose arguments it can
        // see.
        let newer: Rules = [(libc::SYS_clone3, Vec::new())].into();
        let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        apply_filter_all_threads(&compile(newer, SeccompAction::Allow, missing)?)?;
    }
    apply_filter_all_threads(&second)
}

fn eperm() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM.unsigned_abs())
}

fn allowed(may_write: bool, may_thread: bool) -> Result<Rules, seccompiler::Error> {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let without_bits = |argument, bits: i32| {
        let bits = u64::from(bits.unsigned_abs());
        SeccompRule::new(vec![Condition::new(argument, Length::Dword, Op::MaskedEq(bits), 0)?])
    };
    // No executable memory, so no library and no injected code.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![without_bits(2, libc::PROT_EXEC)?]);
    }
    // Landlock restricts where new files may be created; without it none may be.
    let writing = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
    rules.insert(libc::SYS_openat, if may_write { Vec::new() } else { vec![without_bits(2, writing)?] });
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, if may_write { Vec::new() } else { vec![without_bits(1, writing)?] });
    // Excludes the commands that send signals to the owner of a file.
    let command = |command: i32| {
        let command = u64::from(command.unsigned_abs());
        SeccompRule::new(vec![Condition::new(1, Length::Dword, Op::Eq, command)?])
    };
    let harmless = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_DUPFD_CLOEXEC];
    rules.insert(libc::SYS_fcntl, harmless.into_iter().map(command).collect::<Result<_, _>>()?);
    if may_thread {
        // Threads of this process only, and no other process.
        let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
        let condition = Condition::new(0, Length::Dword, Op::MaskedEq(thread), thread)?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![condition])?]);
        // Allowed here, as another filter reports it as missing.
        rules.insert(libc::SYS_clone3, Vec::new());
    }
    // The signal of `abort` to its own process.
    let own = u64::from(std::process::id());
    let only_own = SeccompRule::new(vec![Condition::new(0, Length::Dword, Op::Eq, own)?])?;
    rules.insert(libc::SYS_tgkill, vec![only_own]);
    Ok(rules)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::Error> {
    Ok(SeccompFilter::new(rules, otherwise, matched, ARCHITECTURE)?.try_into()?)
}
