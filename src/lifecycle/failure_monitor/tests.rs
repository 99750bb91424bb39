use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    model::{Tensor, TensorData},
    runtime::Inputs,
};

fn settings() -> RollbackSettings {
    RollbackSettings { automatic: true, failure_share: 0.5, window_seconds: 3600, min_answers: 4 }
}

/// Starts a trial. Returns it with the number of its alarms.
fn monitor(settings: &RollbackSettings, before: f64) -> (FailureMonitor, Arc<AtomicUsize>) {
    let alarms = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&alarms);
    let alarm = move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    (FailureMonitor::new(settings, before, alarm), alarms)
}

fn inputs(value: f32, bytes: usize) -> Inputs {
    let data = TensorData::F32(vec![value; bytes / 4].into());
    Inputs::Only(Tensor::new(vec![1, bytes / 4], data).unwrap())
}

fn suspect(caller: u64, value: f32) -> Suspect {
    Suspect { caller, inputs: Some(Box::new(inputs(value, 4))), by_rows: true, is_refusal: false }
}

/// Compares with a previous deployment that answers positive inputs only.
fn compared(monitor: &FailureMonitor) -> Verdict {
    let taken = monitor.take().unwrap();
    let response = |(_, sample): &(usize, Sample)| {
        let Inputs::Only(tensor) = &sample.inputs else { return None };
        let TensorData::F32(numbers) = tensor.data() else { return None };
        numbers.first().map(|number| *number > 0.0)
    };
    let answered: Vec<Option<bool>> = taken.samples.iter().map(response).collect();
    monitor.judge(&taken, &answered)
}

#[test]
fn a_comparison_begins_once_when_the_share_is_reached() {
    let (monitor, alarms) = monitor(&settings(), 0.0);
    (0..3).for_each(|_| monitor.failed(suspect(1, 1.0)));
    assert_eq!(alarms.load(Ordering::Relaxed), 0, "too few");
    monitor.failed(suspect(1, 1.0));
    monitor.failed(suspect(1, 1.0));
    assert_eq!(alarms.load(Ordering::Relaxed), 1);
    let verdict = compared(&monitor);
    assert!(verdict.takes_back, "{verdict:?}");
    assert_eq!(
        verdict.detail(),
        "5 of 5 requests failed; the previous deployment answered 5 of 5 of these inputs"
    );
}

#[test]
fn a_share_below_the_threshold_asks_for_nothing() {
    let (monitor, alarms) = monitor(&settings(), 0.0);
    (0..10).for_each(|_| monitor.answered(1));
    (0..9).for_each(|_| monitor.failed(suspect(1, 1.0)));
    assert_eq!(alarms.load(Ordering::Relaxed), 0);
    monitor.failed(suspect(1, 1.0));
    assert_eq!(alarms.load(Ordering::Relaxed), 1, "ten of twenty");
}

#[test]
fn what_the_deployment_before_does_not_answer_is_counted_on_neither_side() {
    let (monitor, _) = monitor(&settings(), 0.0);
    (0..10).for_each(|_| monitor.answered(1));
    (0..1000).for_each(|_| monitor.failed(suspect(1, -1.0)));
    let verdict = compared(&monitor);
    assert!(!verdict.takes_back && verdict.answered_before == 0, "{verdict:?}");
    monitor.rest(Duration::ZERO);
    // Confirmed failures are distinguished from shared ones, however many there were before.
    (0..12).for_each(|_| monitor.failed(suspect(1, 1.0)));
    assert!(compared(&monitor).takes_back);
}

#[test]
fn a_pause_follows_a_comparison_after_which_the_deployment_stays() {
    let (monitor, alarms) = monitor(&settings(), 0.0);
    (0..4).for_each(|_| monitor.failed(suspect(1, -1.0)));
    assert!(!compared(&monitor).takes_back);
    monitor.rest(Duration::from_mins(1));
    (0..100).for_each(|_| monitor.failed(suspect(1, -1.0)));
    assert_eq!(alarms.load(Ordering::Relaxed), 1, "a flood asks for no comparison after comparison");
}

#[test]
fn below_a_half_it_must_fail_more_than_the_deployment_before_failed() {
    let low = RollbackSettings { failure_share: 0.1, ..settings() };
    for (before, takes_back) in [(0.1, true), (0.3, false)] {
        let (monitor, _) = monitor(&low, before);
        (0..80).for_each(|_| monitor.answered(1));
        (0..20).for_each(|_| monitor.failed(suspect(1, 1.0)));
        assert_eq!(compared(&monitor).takes_back, takes_back, "{before}");
    }
    let (monitor, _) = monitor(&low, 0.9);
    (0..10).for_each(|_| monitor.failed(suspect(1, 1.0)));
    assert!(compared(&monitor).takes_back, "it answers less, whatever the one before failed");
}

#[test]
fn one_caller_undoes_nothing_while_others_are_answered() {
    let (monitor, _) = monitor(&settings(), 0.0);
    let other = (2..1000).find(|other| group_of(*other) != group_of(1)).unwrap();
    (0..4).for_each(|_| monitor.answered(other));
    (0..1000).for_each(|_| monitor.failed(suspect(1, 1.0)));
    let verdict = compared(&monitor);
    assert!(!verdict.takes_back && verdict.is_one_caller, "{verdict:?}");
    (0..4).for_each(|_| monitor.failed(suspect(other, 1.0)));
    assert!(compared(&monitor).takes_back, "the other one fares like it");
}

#[test]
fn samples_are_bounded_and_each_caller_has_its_part_of_them() {
    let (monitor, _) = monitor(&settings(), 0.0);
    (0..10_000).for_each(|_| monitor.failed(suspect(1, -1.0)));
    let others: Vec<u64> = (2..1000).filter(|other| group_of(*other) != group_of(1)).take(3).collect();
    for other in &others {
        monitor.failed(suspect(*other, 1.0));
    }
    let taken = monitor.take().unwrap();
    let of = |caller| taken.samples.iter().filter(|(group, _)| *group == group_of(caller)).count();
    assert!(of(1) <= 8, "a quarter");
    assert!(others.iter().all(|other| of(*other) >= 1));
    let large =
        |caller, value| Suspect { inputs: Some(Box::new(inputs(value, 3 << 20))), ..suspect(caller, value) };
    (0..20).for_each(|_| monitor.failed(large(1, 1.0)));
    (0..20).for_each(|_| monitor.failed(suspect(1, 1.0)));
    let bytes = |taken: &Taken| -> usize {
        let tensors = taken.samples.iter().flat_map(|(_, sample)| sample.inputs.tensors());
        tensors.map(|tensor| tensor.data().len() * 4).sum()
    };
    let taken = monitor.take().unwrap();
    assert!(bytes(&taken) <= 8 << 20 && taken.samples.len() <= 32, "{}", bytes(&taken));
}

#[test]
fn nothing_is_compared_without_a_predecessor_or_when_switched_off() {
    let first = FailureMonitor::without_comparison();
    (0..100).for_each(|_| first.failed(suspect(1, 1.0)));
    assert!((first.failure_share() - 1.0).abs() < f64::EPSILON);
    for settings in [
        RollbackSettings { automatic: false, ..settings() },
        RollbackSettings { window_seconds: 0, ..settings() },
    ] {
        let (monitor, alarms) = monitor(&settings, 0.0);
        (0..100).for_each(|_| monitor.failed(suspect(1, 1.0)));
        monitor.forget_when_over();
        assert_eq!(alarms.load(Ordering::Relaxed), 0);
        assert!(monitor.take().is_none());
    }
}

#[test]
fn what_a_model_refuses_is_not_held_against_it_by_the_next_deployment() {
    let monitor = FailureMonitor::without_comparison();
    monitor.failed(Suspect { is_refusal: true, ..suspect(1, 1.0) });
    assert!(monitor.failure_share().abs() < f64::EPSILON);
}
