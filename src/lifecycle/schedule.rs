//! Scheduling decision for a version: a pure function of settings, measured costs and available resources.

mod sessions;

use std::time::Duration;

use super::{Costs, Proof, Reason, Refusal, SchedulerConfig};
use crate::{
    config::RuntimeSettings,
    model::{Schedule, ScheduleMode, WantedMode},
};
use sessions::{Sessions, Wanted};

/// Longest run on the thread of a request. Other connections of that thread wait as long. Handing a run to another
/// thread and back costs tens of microseconds and a change of CPU, which is more than a shorter run takes.
const LONGEST_RUN_US: u64 = 200;

/// Longest run of a batch on the thread of a request, measured with 32 rows: it serves many requests, so it may take
/// longer.
const LONGEST_BATCH_US: u64 = 1000;

/// Decides the schedule of a version. The model's configuration overrides the gateway's settings.
///
/// `available_bytes` is the memory that may still be used. `None` if that is unknown.
///
/// # Errors
///
/// If batching is demanded of a model that is not proven batchable, or memory does not suffice for one session.
pub fn decide(
    settings: &RuntimeSettings,
    config: &SchedulerConfig,
    proof: &Proof,
    cpus: usize,
    available_bytes: Option<u64>,
) -> Result<Schedule, Refusal> {
    if config.batching == Some(true) && !proof.batchable {
        let detail = format!(
            "model.toml: scheduler.batching is true, but the rows of several requests are not proven to be \
             independent: {}; remove it or set it to false",
            proof.batching_reason
        );
        return Err(Refusal::new(Reason::InvalidConfig, detail));
    }
    let wanted = Wanted {
        instances: config.instances.unwrap_or(settings.instances),
        threads: config.threads.unwrap_or(settings.threads),
    };
    let fitting = sessions::fitting(&proof.costs, available_bytes)?;
    let Sessions { instances, threads } = sessions::decide(wanted, &proof.costs, cpus);
    let batching = config.batching.unwrap_or(proof.batchable);
    let (mode, reason) = mode(settings, config, proof, batching, threads);
    let shares_session = sessions::are_shared(threads, mode, &proof.costs);
    let max_delay_ms = match mode {
        ScheduleMode::RequestThread => 0,
        ScheduleMode::OwnThreads => config.max_delay_ms.unwrap_or(settings.max_delay_ms),
    };
    Ok(Schedule {
        mode,
        batching,
        max_batch_rows: config.max_batch_rows.unwrap_or(settings.max_batch_rows),
        max_delay: Duration::from_millis(max_delay_ms),
        queue_capacity: config.queue_capacity.unwrap_or(settings.queue_capacity),
        instances: if shares_session { instances } else { instances.min(fitting) },
        threads,
        shares_session,
        reason,
    })
}

/// Returns true if sessions with several threads may pay off for a model, so that they should be measured.
pub(super) fn sessions_may_share(costs: &Costs) -> bool {
    costs.session_bytes >= sessions::LARGE_BYTES && costs.run_us >= sessions::LEAST_SHARED_RUN_US
}

fn mode(
    settings: &RuntimeSettings,
    config: &SchedulerConfig,
    proof: &Proof,
    batching: bool,
    threads: usize,
) -> (ScheduleMode, String) {
    let (wanted, place) = match config.mode {
        Some(wanted) => (wanted, "scheduler.mode in model.toml"),
        None => (settings.scheduler, "runtime.scheduler"),
    };
    match wanted {
        WantedMode::RequestThread => return (ScheduleMode::RequestThread, format!("{place} asks for it")),
        WantedMode::OwnThreads => return (ScheduleMode::OwnThreads, format!("{place} asks for it")),
        WantedMode::Auto => {}
    }
    let costs = &proof.costs;
    let batch_us = costs.run_32_rows_us.filter(|_| batching);
    let too_long = "on a request's thread it would delay the other connections there";
    if threads > 1 {
        let reason = format!("its instances have {threads} threads, which wait for each other");
        (ScheduleMode::OwnThreads, reason)
    } else if !proof.is_steady {
        let reason = "the time of a run depends on its inputs, and a long run would delay other connections";
        (ScheduleMode::OwnThreads, reason.to_owned())
    } else if !batching && proof.signature.takes_any_number_of_rows() {
        let reason = "it takes any number of rows, which cannot be run in parts, and many would delay other \
            connections";
        (ScheduleMode::OwnThreads, reason.to_owned())
    } else if costs.run_us > LONGEST_RUN_US {
        (ScheduleMode::OwnThreads, format!("a run takes {} µs: {too_long}", costs.run_us))
    } else if let Some(batch_us) = batch_us.filter(|micros| *micros > LONGEST_BATCH_US) {
        (ScheduleMode::OwnThreads, format!("a run of 32 rows takes {batch_us} µs: {too_long}"))
    } else {
        let reason = format!("a run takes {} µs, less than handing it to another thread", costs.run_us);
        (ScheduleMode::RequestThread, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Signature, ValueSpec};

    fn proof(batchable: bool, run_us: u64, run_32_rows_us: Option<u64>) -> Proof {
        let costs = Costs { run_us, run_32_rows_us, ..Costs::default() };
        Proof { costs, batchable, ..Proof::of_nothing() }
    }

    fn decided(config: &SchedulerConfig, proof: &Proof) -> Schedule {
        decide(&RuntimeSettings::default(), config, proof, 2, None).unwrap()
    }

    fn mode(proof: &Proof) -> ScheduleMode {
        decided(&SchedulerConfig::default(), proof).mode
    }

    #[test]
    fn short_runs_stay_on_the_thread_of_the_request() {
        assert_eq!(mode(&proof(true, 200, Some(1000))), ScheduleMode::RequestThread);
        assert_eq!(mode(&proof(true, 201, Some(900))), ScheduleMode::OwnThreads);
        assert_eq!(mode(&proof(true, 100, Some(1001))), ScheduleMode::OwnThreads);
        assert_eq!(mode(&proof(false, 100, None)), ScheduleMode::RequestThread, "one row at a time");
        let unsteady = Proof { is_steady: false, ..proof(true, 1, Some(1)) };
        assert_eq!(mode(&unsteady), ScheduleMode::OwnThreads, "a loop may run for long some day");
    }

    #[test]
    fn many_indivisible_rows_do_not_run_on_the_thread_of_a_request() {
        let rows = vec![Dimension::Dynamic(String::new()), Dimension::Fixed(2)];
        let inputs = vec![ValueSpec::tensor("x", ElementType::F32, rows)];
        let of_rows = |batchable| Proof {
            signature: Signature { inputs: inputs.clone(), outputs: Vec::new() },
            ..proof(batchable, 10, Some(20))
        };
        assert_eq!(mode(&of_rows(true)), ScheduleMode::RequestThread);
        assert_eq!(mode(&of_rows(false)), ScheduleMode::OwnThreads);
        let no_batches = SchedulerConfig { batching: Some(false), ..SchedulerConfig::default() };
        assert_eq!(decided(&no_batches, &of_rows(true)).mode, ScheduleMode::OwnThreads);
    }

    #[test]
    fn what_stands_beside_the_model_wins() {
        let settings = RuntimeSettings {
            scheduler: WantedMode::RequestThread,
            max_delay_ms: 5,
            max_batch_rows: 7,
            ..RuntimeSettings::default()
        };
        let slow = proof(true, 5000, Some(9000));
        let of_gateway = decide(&settings, &SchedulerConfig::default(), &slow, 2, None).unwrap();
        assert_eq!((of_gateway.mode, of_gateway.max_batch_rows), (ScheduleMode::RequestThread, 7));
        assert_eq!(of_gateway.max_delay, Duration::ZERO, "no thread of a request waits");
        assert_eq!(of_gateway.reason, "runtime.scheduler asks for it");
        let config = SchedulerConfig {
            mode: Some(WantedMode::Auto),
            max_batch_rows: Some(9),
            queue_capacity: Some(3),
            instances: Some(4),
            ..SchedulerConfig::default()
        };
        let of_model = decide(&settings, &config, &slow, 2, None).unwrap();
        assert_eq!((of_model.mode, of_model.max_batch_rows), (ScheduleMode::OwnThreads, 9));
        assert_eq!((of_model.queue_capacity, of_model.instances, of_model.threads), (3, 4, 1));
        assert_eq!(of_model.max_delay, Duration::from_millis(5));
        assert!(of_model.reason.starts_with("a run takes 5000 µs: "), "{}", of_model.reason);
    }

    #[test]
    fn batches_are_made_where_they_are_proven_and_never_else() {
        let auto = SchedulerConfig::default();
        assert!(decided(&auto, &proof(true, 1, None)).batching);
        assert!(!decided(&auto, &proof(false, 1, None)).batching);
        let demanded = SchedulerConfig { batching: Some(true), ..SchedulerConfig::default() };
        assert!(decided(&demanded, &proof(true, 1, None)).batching);
        let settings = RuntimeSettings::default();
        let refusal = decide(&settings, &demanded, &proof(false, 1, None), 2, None).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidConfig);
        assert!(
            refusal
                .detail
                .contains("scheduler.batching is true, but the rows of several requests are not proven"),
            "{refusal}"
        );
    }

    #[test]
    fn scarce_memory_leaves_fewer_sessions_and_as_many_runs_of_one() {
        let costs =
            Costs { run_us: 6000, session_bytes: 100 << 20, peak_bytes: 300 << 20, ..Costs::default() };
        let large = Proof { costs, ..proof(true, 6000, None) };
        let decided = |threads| {
            let config = SchedulerConfig { threads: Some(threads), ..SchedulerConfig::default() };
            let room = Some((336 + 2 * 120) << 20);
            let schedule = decide(&RuntimeSettings::default(), &config, &large, 8, room).unwrap();
            (schedule.instances, schedule.threads, schedule.shares_session)
        };
        assert_eq!(decided(1), (8, 1, true));
        assert_eq!(decided(2), (3, 2, false), "four do not fit");
    }

    #[test]
    fn sessions_with_threads_have_threads_of_their_own_to_run_on() {
        let config = SchedulerConfig { threads: Some(2), ..SchedulerConfig::default() };
        let schedule = decided(&config, &proof(true, 1, Some(1)));
        assert_eq!((schedule.mode, schedule.instances), (ScheduleMode::OwnThreads, 1));
        assert_eq!(schedule.threads, 2);
    }
}
