//! Number of runs of a model at the same time (instances), and of threads in each.
//!
//! Single-threaded runs beside each other give the highest throughput, because no thread waits for another. Those of a
//! large model share a session, so its weights are in memory once. Threads within a run finish a single request sooner,
//! and what comes meanwhile is the next batch, so a large dense model gets them if it gains enough. Forests gain nothing
//! from threads: they jump through memory, a row at a time.

use crate::{
    lifecycle::{Costs, Reason, Refusal},
    model::ScheduleMode,
};

/// Reserve above the measured memory, which was measured in another process.
const MEMORY_MARGIN_PERCENT: u64 = 120;

/// Resident memory of a process with ONNX Runtime and no model.
const RUNTIME_BYTES: u64 = 20 << 20;

/// From this size of a session on, a run reads more than the caches of a CPU hold, and threads are worth a measurement.
pub(super) const LARGE_BYTES: u64 = 64 << 20;

/// A shorter run ends before other threads have woken up to help.
pub(super) const LEAST_SHARED_RUN_US: u64 = 1000;

/// From this size of a session on, short runs share it too. The measurement of a smaller one is in large part ONNX
/// Runtime's own memory, which a process has once.
const LEAST_SHARED_BYTES: u64 = 24 << 20;

/// The configured numbers; 0 to choose automatically.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) instances: usize,
    pub(super) threads: usize,
}

/// The chosen numbers of instances and of threads in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sessions {
    pub(super) instances: usize,
    pub(super) threads: usize,
}

/// Chooses the numbers, whatever memory there is.
pub(super) fn decide(wanted: Wanted, costs: &Costs, cpus: usize) -> Sessions {
    let (instances, threads) = match (wanted.instances, wanted.threads) {
        (0, 0) if costs.session_bytes >= LARGE_BYTES && threads_help(costs, cpus) => (1, cpus),
        (0, 0) => (cpus, 1),
        // Other CPUs would be idle.
        (1, 0) if threads_help(costs, cpus) => (1, cpus),
        (instances, 0) => (instances, 1),
        (0, threads) => ((cpus / threads).max(1), threads),
        wanted => wanted,
    };
    Sessions { instances, threads }
}

/// Returns true if all instances run one session, so that the weights are in memory once.
///
/// Runs on the threads of requests take microseconds. They would meet at the locks and counters that ONNX Runtime has for
/// each session, the more so the more CPUs there are. So they share only what takes much memory. Threads belong to a
/// session, and the proof measured a run that had them to itself.
pub(super) fn are_shared(threads: usize, mode: ScheduleMode, costs: &Costs) -> bool {
    threads <= 1 && (mode == ScheduleMode::OwnThreads || costs.session_bytes >= LEAST_SHARED_BYTES)
}

/// Returns true if measured threads are worth their CPUs: half as fast again with two, and so on for each more.
fn threads_help(costs: &Costs, cpus: usize) -> bool {
    let Some(with_threads) = costs.run_threads_us.filter(|_| cpus > 1) else { return false };
    let cpus = u64::try_from(cpus).unwrap_or(u64::MAX);
    // run / with_threads >= (cpus + 1) / 2
    costs.run_us.saturating_mul(2) >= with_threads.saturating_mul(cpus.saturating_add(1))
}

/// Computes the number of sessions that fit into memory, at least one.
///
/// # Errors
///
/// If memory does not suffice for one.
pub(super) fn fitting(costs: &Costs, available_bytes: Option<u64>) -> Result<usize, Refusal> {
    let Some(available) = available_bytes else { return Ok(usize::MAX) };
    let with_margin = |bytes: u64| bytes.saturating_mul(MEMORY_MARGIN_PERCENT) / 100;
    // Loading is the peak. The measurement includes ONNX Runtime itself, which this process has loaded already.
    let runtime_bytes = costs.peak_bytes.min(RUNTIME_BYTES);
    let first = with_margin(costs.peak_bytes - runtime_bytes);
    if first > available {
        let detail = format!(
            "loading it takes {} MiB beside what serves, {} MiB are left; give the process more memory, or set \
             models.preserve to \"resources\" to evict the old version first",
            first >> 20,
            available >> 20
        );
        return Err(Refusal::new(Reason::InsufficientMemory, detail));
    }
    let each = with_margin(costs.session_bytes).max(1);
    let fitting = 1 + (available - first) / each;
    Ok(usize::try_from(fitting).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Costs = Costs {
        load_us: 500,
        run_us: 5,
        run_32_rows_us: Some(50),
        run_threads_us: None,
        session_bytes: 1 << 20,
        peak_bytes: 30 << 20,
    };

    const LARGE: Costs = Costs {
        load_us: 200_000,
        run_us: 6000,
        run_32_rows_us: Some(40_000),
        run_threads_us: Some(3500),
        session_bytes: 100 << 20,
        peak_bytes: 300 << 20,
    };

    const FREE: Wanted = Wanted { instances: 0, threads: 0 };

    fn sessions(wanted: Wanted, costs: &Costs, cpus: usize) -> (usize, usize) {
        let sessions = decide(wanted, costs, cpus);
        (sessions.instances, sessions.threads)
    }

    #[test]
    fn small_models_and_forests_get_an_instance_for_each_cpu() {
        assert_eq!(sessions(FREE, &SMALL, 8), (8, 1));
        let forest = Costs { run_threads_us: None, run_us: 300, ..LARGE };
        assert_eq!(sessions(FREE, &forest, 2), (2, 1));
        let no_gain = Costs { run_threads_us: Some(5000), ..LARGE };
        assert_eq!(sessions(FREE, &no_gain, 2), (2, 1));
    }

    #[test]
    fn a_large_dense_model_gets_one_session_with_threads_if_they_help() {
        assert_eq!(sessions(FREE, &LARGE, 2), (1, 2));
        assert_eq!(sessions(FREE, &LARGE, 1), (1, 1), "with whom?");
        assert_eq!(sessions(FREE, &LARGE, 4), (4, 1), "1.7 times as fast is no use of four CPUs");
        let scaling = Costs { run_threads_us: Some(2000), ..LARGE };
        assert_eq!(sessions(FREE, &scaling, 4), (1, 4));
        let smaller = Costs { session_bytes: 63 << 20, ..LARGE };
        assert_eq!(sessions(FREE, &smaller, 2), (2, 1), "it is not large");
    }

    #[test]
    fn large_models_and_long_runs_share_a_session() {
        use ScheduleMode::{OwnThreads, RequestThread};
        assert!(!are_shared(1, RequestThread, &SMALL));
        assert!(are_shared(1, RequestThread, &Costs { session_bytes: 24 << 20, ..SMALL }));
        assert!(are_shared(1, OwnThreads, &SMALL));
        assert!(!are_shared(2, OwnThreads, &LARGE), "the threads belong to a session");
    }

    #[test]
    fn as_many_sessions_fit_as_there_is_memory_for() {
        let fitting = |mebibytes: u64| fitting(&LARGE, Some(mebibytes << 20)).unwrap();
        assert_eq!((fitting(336), fitting(336 + 119), fitting(336 + 3 * 120)), (1, 1, 4));
    }

    #[test]
    fn what_is_wanted_is_done() {
        let wanted = |instances, threads| Wanted { instances, threads };
        assert_eq!(sessions(wanted(3, 0), &LARGE, 2), (3, 1));
        assert_eq!(sessions(wanted(1, 0), &LARGE, 2), (1, 2), "the other CPU would stand still");
        assert_eq!(sessions(wanted(1, 0), &SMALL, 2), (1, 1));
        assert_eq!(sessions(wanted(0, 2), &SMALL, 8), (4, 2));
        assert_eq!(sessions(wanted(0, 16), &SMALL, 8), (1, 16));
        assert_eq!(sessions(wanted(5, 3), &SMALL, 2), (5, 3));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refusal = fitting(&LARGE, Some(100 << 20)).unwrap_err();
        assert_eq!(refusal.reason, Reason::InsufficientMemory);
        assert!(refusal.detail.starts_with("loading it takes 336 MiB beside what serves, 100 MiB are left"));
    }
}
