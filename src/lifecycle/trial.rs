//! How a deployment does in its first minutes: the share of its answers that failed.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::config::RollbackSettings;

/// Counts the answers of one deployment.
#[derive(Debug)]
pub struct Trial {
    answers: AtomicU64,
    failures: AtomicU64,
    tripped: AtomicBool,
    since: Instant,
    rule: Option<Rule>,
}

/// When a deployment is to be taken back.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rule {
    share: f64,
    min_answers: u64,
    window: Duration,
    /// The share of the deployment before: what fails no more than that is no worse.
    before: f64,
}

impl Trial {
    /// For a deployment that takes the place of another, whose share of failures was `before`.
    #[must_use]
    pub fn new(settings: &RollbackSettings, before: Option<f64>) -> Self {
        let rule = |before| Rule {
            share: settings.failure_share,
            min_answers: settings.min_answers,
            window: Duration::from_secs(settings.window_seconds),
            before,
        };
        Self {
            answers: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            tripped: AtomicBool::new(false),
            since: Instant::now(),
            rule: before.filter(|_| settings.automatic).map(rule),
        }
    }

    /// Counts a good answer.
    pub fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer that the model failed to give, or that was not finite; whether this is the one with which the
    /// deployment has failed. It answers so once.
    #[must_use]
    pub fn failed(&self) -> bool {
        let answers = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(rule) = self.rule else { return false };
        let share = share(failures, answers);
        let fails = answers >= rule.min_answers
            && share >= rule.share
            && share > rule.before
            && self.since.elapsed() <= rule.window;
        fails && !self.tripped.swap(true, Ordering::Relaxed)
    }

    /// What was to follow from failing could not be done: the next failure asks for it again.
    pub fn rearm(&self) {
        self.tripped.store(false, Ordering::Relaxed);
    }

    /// The share of all answers so far that failed.
    #[must_use]
    pub fn failure_share(&self) -> f64 {
        share(self.failures.load(Ordering::Relaxed), self.answers.load(Ordering::Relaxed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of more answers than 2^53 is as good when rounded")]
fn share(failures: u64, answers: u64) -> f64 {
    if answers == 0 { 0.0 } else { failures as f64 / answers as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RollbackSettings {
        RollbackSettings { automatic: true, failure_share: 0.5, window_seconds: 3600, min_answers: 4 }
    }

    #[test]
    fn trips_once_when_the_share_is_reached_after_so_many_answers() {
        let trial = Trial::new(&settings(), Some(0.0));
        assert!(!trial.failed() && !trial.failed() && !trial.failed(), "too few");
        assert!(trial.failed());
        assert!(!trial.failed(), "once is enough");
    }

    #[test]
    fn a_share_below_the_threshold_or_no_worse_than_before_is_put_up_with() {
        let trial = Trial::new(&settings(), Some(0.0));
        (0..10).for_each(|_| trial.answered());
        assert!((0..9).all(|_| !trial.failed()));
        assert!(trial.failed(), "ten of twenty");
        let no_worse = Trial::new(&settings(), Some(1.0));
        assert!((0..100).all(|_| !no_worse.failed()));
        assert!((no_worse.failure_share() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_replaced_nothing_is_not_taken_back_nor_when_that_is_switched_off() {
        let first = Trial::new(&settings(), None);
        assert!((0..100).all(|_| !first.failed()));
        let off = Trial::new(&RollbackSettings { automatic: false, ..settings() }, Some(0.0));
        assert!((0..100).all(|_| !off.failed()));
    }
}
