//! Interpretation of a child's end: a refusal of the model that it tried.

use std::time::Duration;

use super::WALL_FACTOR;
use crate::{
    lifecycle::{Reason, Refusal},
    system::supervise::{End, Outcome},
};

/// Messages of ONNX Runtime when an allocation fails.
const OUT_OF_MEMORY: [&str; 3] = ["bad_alloc", "Failed to allocate memory", "Failed to allocate"];

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
const SIGSYS: i32 = 31;

/// Rewrites a refusal with what the child could not know: the memory limit, and whether memory was scarce.
pub(super) fn of_report(refusal: Refusal, memory_bytes: u64, is_scarce: bool) -> Refusal {
    let runs = matches!(refusal.reason, Reason::LoadFailed | Reason::RunFailed | Reason::ProofFailed);
    if runs && OUT_OF_MEMORY.iter().any(|words| refusal.detail.contains(words)) {
        return memory_limit(memory_bytes, is_scarce);
    }
    refusal
}

/// Explains the end of a child that reported nothing.
pub(super) fn of_end(outcome: &Outcome, timeout: Duration, memory_bytes: u64, is_scarce: bool) -> Refusal {
    let seconds = timeout.as_secs();
    let (reason, detail) = match outcome.end {
        End::TimedOut => (
            Reason::TimedOut,
            format!("loading and running it did not end within {} s", timeout.as_secs() * WALL_FACTOR),
        ),
        End::Signalled(SIGXCPU) => (Reason::TimedOut, format!("it used more than {seconds} s of CPU time")),
        End::Signalled(SIGKILL) if outcome.duration.as_secs() >= seconds => {
            (Reason::TimedOut, format!("it used more than {seconds} s of CPU time"))
        }
        End::Signalled(SIGKILL) => (
            Reason::MemoryLimit,
            format!(
                "the kernel killed its process at {} MiB (SIGKILL), most likely for lack of memory",
                outcome.peak_bytes >> 20
            ),
        ),
        End::Signalled(SIGXFSZ) => {
            (Reason::SandboxViolation, "it tried to write a file (SIGXFSZ)".to_owned())
        }
        End::Signalled(SIGSYS) => {
            (Reason::SandboxViolation, "it made a system call that the sandbox forbids (SIGSYS)".to_owned())
        }
        End::Signalled(signal) => (Reason::Crashed, format!("its process was killed by signal {signal}")),
        End::Exited(_) | End::TooMuchOutput
            if OUT_OF_MEMORY.iter().any(|words| outcome.complaint.contains(words)) =>
        {
            return memory_limit(memory_bytes, is_scarce);
        }
        End::TooMuchOutput => (Reason::ProofFailed, "its report is longer than the limit".to_owned()),
        End::Exited(status) => {
            let complaint = outcome.complaint.lines().last().unwrap_or("nothing");
            (Reason::ProofFailed, format!("the proof exited with status {status}: {complaint}"))
        }
    };
    Refusal::new(reason, detail)
}

/// Distinguishes a model that is too large from one for which memory is scarce now.
fn memory_limit(bytes: u64, is_scarce: bool) -> Refusal {
    let reason = if is_scarce { Reason::InsufficientMemory } else { Reason::MemoryLimit };
    Refusal::new(reason, format!("loading and running it takes more than {} MiB", bytes >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(end: End, complaint: &str) -> Reason {
        let outcome = Outcome {
            report: None,
            end,
            complaint: complaint.to_owned(),
            peak_bytes: 0,
            duration: Duration::from_secs(1),
        };
        of_end(&outcome, Duration::from_secs(10), 1 << 30, false).reason
    }

    #[test]
    fn every_end_has_its_reason() {
        assert_eq!(reason(End::TimedOut, ""), Reason::TimedOut);
        assert_eq!(reason(End::Signalled(SIGXCPU), ""), Reason::TimedOut);
        assert_eq!(reason(End::Signalled(SIGKILL), ""), Reason::MemoryLimit);
        assert_eq!(reason(End::Signalled(11), ""), Reason::Crashed);
        assert_eq!(reason(End::Signalled(6), ""), Reason::Crashed);
        assert_eq!(reason(End::Signalled(SIGSYS), ""), Reason::SandboxViolation);
        assert_eq!(reason(End::Signalled(SIGXFSZ), ""), Reason::SandboxViolation);
        assert_eq!(reason(End::Exited(1), "memory allocation failed: bad_alloc"), Reason::MemoryLimit);
        assert_eq!(reason(End::Exited(1), "no such library"), Reason::ProofFailed);
        assert_eq!(reason(End::TooMuchOutput, ""), Reason::ProofFailed);
    }

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        let report = |detail: &str| Refusal::new(Reason::LoadFailed, detail);
        let failed = |detail: &str| of_report(report(detail), 1 << 30, false).reason;
        assert_eq!(of_report(report("bad_alloc"), 1 << 30, true).reason, Reason::InsufficientMemory);
        assert_eq!(failed("Exception: std::bad_alloc"), Reason::MemoryLimit);
        assert_eq!(failed("no such operator"), Reason::LoadFailed);
    }
}
