//! The trial of a new deployment, which is compared with the previous one.
//!
//! Responses are counted, and inputs of failed requests are sampled ([`suspects`]). Once the share of failures reaches
//! the configured limit, the manager replays the samples against the previous deployment, off the request path
//! ([`replay`](super::replay)). Failures that it shares are ignored: only the others count ([`verdict`]).

mod suspects;
mod verdict;

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub use suspects::{Sample, Suspect};
pub use verdict::Verdict;

use self::{suspects::SuspectInputs, verdict::Rule};
use crate::config::RollbackSettings;
pub(super) use suspects::Taken;

/// Number of groups that callers are hashed into.
const GROUPS: usize = 32;

/// Counters, one for each group of callers.
type ByGroup<T> = [T; GROUPS];

/// Shortest pause between two comparisons of the same deployment.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Factor of the pause after a comparison, so that comparisons take 5 % of a CPU at most.
const PAUSE_FACTOR: u32 = 20;

/// Success and failure of one deployment's requests.
#[derive(Debug)]
pub struct FailureMonitor {
    answered: ByGroup<AtomicU64>,
    /// Requests that the model failed, without those that it refused.
    failed: AtomicU64,
    /// True while a comparison is requested or in progress.
    is_compared: AtomicBool,
    since: Instant,
    watch: Option<Watch>,
}

/// The state of a deployment that replaced another.
#[derive(Debug)]
struct Watch {
    rule: Rule,
    window: Duration,
    suspects: Mutex<SuspectInputs>,
    alarm: Alarm,
}

/// A callback that requests a comparison.
struct Alarm(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Alarm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Alarm")
    }
}

impl FailureMonitor {
    /// Starts the trial of a deployment that replaced another, whose share of failed responses was `before`. `alarm`
    /// requests a comparison with it. Request threads call `alarm`, and not again until that comparison has ended.
    #[must_use]
    pub fn new(settings: &RollbackSettings, before: f64, alarm: impl Fn() + Send + Sync + 'static) -> Self {
        let watch = settings.automatic.then(|| Watch {
            rule: Rule { share: settings.failure_share, min_answers: settings.min_answers, before },
            window: Duration::from_secs(settings.window_seconds),
            suspects: Mutex::default(),
            alarm: Alarm(Box::new(alarm)),
        });
        Self { watch, ..Self::without_comparison() }
    }

    /// Creates a trial of a deployment that replaced none: responses are counted, and no rollback follows.
    #[must_use]
    pub fn without_comparison() -> Self {
        Self {
            answered: std::array::from_fn(|_| AtomicU64::new(0)),
            failed: AtomicU64::new(0),
            is_compared: AtomicBool::new(false),
            since: Instant::now(),
            watch: None,
        }
    }

    /// Counts a successful response to a caller.
    pub fn answered(&self, caller: u64) {
        self.answered[group_of(caller)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failed request whose inputs comply with signature and contract.
    pub fn failed(&self, suspect: Suspect) {
        if !suspect.is_refusal {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let Some(watch) = &self.watch else { return };
        let mut suspects = watch.suspects();
        if self.since.elapsed() > watch.window {
            *suspects = SuspectInputs::default();
            return;
        }
        suspects.add(suspect);
        let may_fail = suspects.may_be_compared() && watch.rule.may_fail(&self.answers(), &suspects);
        drop(suspects);
        if may_fail && !self.is_compared.swap(true, Ordering::Relaxed) {
            (watch.alarm.0)();
        }
    }

    /// Returns the share of all requests so far that the model failed.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of more answers than 2^53 is as good when rounded"
    )]
    pub fn failure_share(&self) -> f64 {
        let failed = self.failed.load(Ordering::Relaxed);
        let all = failed + self.answers().iter().sum::<u64>();
        if all == 0 { 0.0 } else { failed as f64 / all as f64 }
    }

    /// Takes what was collected since the last comparison, for the next one. `None` if the trial is over.
    pub(super) fn take(&self) -> Option<Taken> {
        let watch = self.watch.as_ref().filter(|watch| self.since.elapsed() <= watch.window)?;
        let mut suspects = watch.suspects();
        Some(suspects.take(self.answers()))
    }

    /// Judges the deployment by the replay of the samples on the previous one: true for each that succeeded, `None` for
    /// each that was not tried.
    pub(super) fn judge(&self, taken: &Taken, answered: &[Option<bool>]) -> Verdict {
        let Some(watch) = &self.watch else { return Verdict::default() };
        let mut suspects = watch.suspects();
        suspects.learn(taken, answered);
        watch.rule.judge(taken, &suspects)
    }

    /// Ends a comparison that took this long without a rollback. Another one may follow after a pause.
    pub(super) fn rest(&self, took: Duration) {
        if let Some(watch) = &self.watch {
            watch.suspects().rest((took * PAUSE_FACTOR).max(MIN_PAUSE));
        }
        self.is_compared.store(false, Ordering::Relaxed);
    }

    /// Frees the samples once the trial is over.
    pub(super) fn forget_when_over(&self) {
        if let Some(watch) = &self.watch
            && self.since.elapsed() > watch.window
        {
            *watch.suspects() = SuspectInputs::default();
        }
    }

    fn answers(&self) -> ByGroup<u64> {
        std::array::from_fn(|group| self.answered[group].load(Ordering::Relaxed))
    }
}

impl Watch {
    /// Locks the suspects: only for failed requests, and no longer than copying one request's inputs takes.
    fn suspects(&self) -> MutexGuard<'_, SuspectInputs> {
        // Poisoning is ignored: the content is consistent at every point where a panic could leave it.
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the group of a caller. Multiplying by a large odd number spreads neighbours.
fn group_of(caller: u64) -> usize {
    (caller.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % GROUPS
}

#[cfg(test)]
mod tests;
