//! Number of sessions of a model, and of threads in each.
//!
//! Single-threaded sessions in parallel give the highest throughput, because no thread waits for another. But each
//! keeps its own weights, prepared for the CPU, so a large dense model takes its size once more for every CPU. Threads
//! within one session share the weights and finish a single request sooner. Forests gain nothing from threads: they
//! jump through memory, a row at a time.

use crate::lifecycle::{Costs, Reason, Refusal};

/// Reserve above the measured memory, which was measured in another process.
const MEMORY_MARGIN_PERCENT: u64 = 120;

/// Resident memory of a process with ONNX Runtime and no model.
const RUNTIME_BYTES: u64 = 20 << 20;

/// From this size of a session on, memory outweighs the few percent that threads lose to waiting for each other.
pub(super) const LARGE_BYTES: u64 = 64 << 20;

/// A shorter run ends before other threads have woken up to help.
pub(super) const LEAST_SHARED_RUN_US: u64 = 1000;

/// The configured numbers; 0 to choose automatically.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) instances: usize,
    pub(super) threads: usize,
}

/// The chosen numbers of sessions and of threads in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sessions {
    pub(super) instances: usize,
    pub(super) threads: usize,
}

/// Chooses the number of sessions, fewer if memory is scarce.
///
/// # Errors
///
/// If memory does not suffice for one session.
pub(super) fn decide(
    wanted: Wanted,
    costs: &Costs,
    cpus: usize,
    available_bytes: Option<u64>,
) -> Result<Sessions, Refusal> {
    let fitting = fitting(costs, available_bytes)?;
    let (instances, threads) = match (wanted.instances, wanted.threads) {
        (0, 0) if costs.session_bytes >= LARGE_BYTES && threads_help(costs, cpus) => (1, cpus),
        (0, 0) if fitting == 1 && threads_may_help(costs) => (1, cpus),
        (0, 0) => (cpus, 1),
        // Other CPUs would be idle.
        (1, 0) if threads_help(costs, cpus) => (1, cpus),
        (instances, 0) => (instances, 1),
        (0, threads) => ((cpus / threads).max(1), threads),
        wanted => wanted,
    };
    Ok(Sessions { instances: instances.min(fitting), threads })
}

/// Returns true if measured threads are worth their CPUs: half as fast again with two, and so on for each more.
fn threads_help(costs: &Costs, cpus: usize) -> bool {
    let Some(with_threads) = costs.run_threads_us.filter(|_| cpus > 1) else { return false };
    let cpus = u64::try_from(cpus).unwrap_or(u64::MAX);
    // run / with_threads >= (cpus + 1) / 2
    costs.run_us.saturating_mul(2) >= with_threads.saturating_mul(cpus.saturating_add(1))
}

/// Returns true if threads are worth trying when only one session is possible and CPUs would be idle.
fn threads_may_help(costs: &Costs) -> bool {
    costs
        .run_threads_us
        .map_or(costs.run_us >= LEAST_SHARED_RUN_US, |with_threads| with_threads < costs.run_us)
}

/// Computes the number of sessions that fit into memory, at least one.
fn fitting(costs: &Costs, available_bytes: Option<u64>) -> Result<usize, Refusal> {
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

    fn sessions(wanted: Wanted, costs: &Costs, cpus: usize, mebibytes: Option<u64>) -> (usize, usize) {
        let sessions = decide(wanted, costs, cpus, mebibytes.map(|count| count << 20)).unwrap();
        (sessions.instances, sessions.threads)
    }

    #[test]
    fn small_models_and_forests_get_a_session_for_each_cpu() {
        assert_eq!(sessions(FREE, &SMALL, 8, None), (8, 1));
        let forest = Costs { run_threads_us: None, run_us: 300, ..LARGE };
        assert_eq!(sessions(FREE, &forest, 2, None), (2, 1));
        let no_gain = Costs { run_threads_us: Some(5000), ..LARGE };
        assert_eq!(sessions(FREE, &no_gain, 2, None), (2, 1));
    }

    #[test]
    fn a_large_dense_model_gets_one_session_with_threads_if_they_help() {
        assert_eq!(sessions(FREE, &LARGE, 2, None), (1, 2));
        assert_eq!(sessions(FREE, &LARGE, 1, None), (1, 1), "with whom?");
        assert_eq!(sessions(FREE, &LARGE, 4, None), (4, 1), "1.7 times as fast is no use of four CPUs");
        let scaling = Costs { run_threads_us: Some(2000), ..LARGE };
        assert_eq!(sessions(FREE, &scaling, 4, None), (1, 4));
        let smaller = Costs { session_bytes: 63 << 20, ..LARGE };
        assert_eq!(sessions(FREE, &smaller, 2, None), (2, 1), "it fits several times");
    }

    #[test]
    fn where_only_one_session_fits_it_has_all_threads() {
        let measured = Costs { run_threads_us: Some(5000), ..LARGE };
        assert_eq!(sessions(FREE, &measured, 2, Some(400)), (1, 2));
        let worse = Costs { run_threads_us: Some(7000), ..LARGE };
        assert_eq!(sessions(FREE, &worse, 2, Some(400)), (1, 1));
        let short = Costs { run_threads_us: None, run_us: 300, ..LARGE };
        assert_eq!(sessions(FREE, &short, 2, Some(400)), (1, 1));
        assert_eq!(sessions(FREE, &worse, 8, Some(340 + 3 * 120)), (4, 1), "as many as fit");
    }

    #[test]
    fn what_is_wanted_is_done() {
        let wanted = |instances, threads| Wanted { instances, threads };
        assert_eq!(sessions(wanted(3, 0), &LARGE, 2, None), (3, 1));
        assert_eq!(sessions(wanted(1, 0), &LARGE, 2, None), (1, 2), "the other CPU would stand still");
        assert_eq!(sessions(wanted(1, 0), &SMALL, 2, None), (1, 1));
        assert_eq!(sessions(wanted(0, 2), &SMALL, 8, None), (4, 2));
        assert_eq!(sessions(wanted(0, 16), &SMALL, 8, None), (1, 16));
        assert_eq!(sessions(wanted(5, 3), &SMALL, 2, None), (5, 3));
        assert_eq!(sessions(wanted(5, 1), &LARGE, 2, Some(400)), (1, 1), "but for memory");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refusal = decide(FREE, &LARGE, 2, Some(100 << 20)).unwrap_err();
        assert_eq!(refusal.reason, Reason::InsufficientMemory);
        assert!(refusal.detail.starts_with("loading it takes 336 MiB beside what serves, 100 MiB are left"));
    }
}
