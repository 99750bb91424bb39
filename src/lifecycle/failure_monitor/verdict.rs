//! The rule for an automatic rollback.

use super::{
    ByGroup,
    suspects::{SuspectInputs, Taken},
};

/// From this share of failures on, the previous deployment answers more than the one on trial, regardless of its own
/// share.
const MOST_ANSWERS: f64 = 0.5;

/// Conditions of a rollback.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    /// The share of failures.
    pub(super) share: f64,
    /// The fewest requests from which the share is meaningful.
    pub(super) min_answers: u64,
    /// The share of failures of the previous deployment, by its own count.
    pub(super) before: f64,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// True if the deployment is rolled back.
    pub takes_back: bool,
    /// True if it would be rolled back, but all failures are of one caller while others are answered.
    pub is_one_caller: bool,
    /// Failed requests.
    pub failed: u64,
    /// All requests, answered or not.
    pub requests: u64,
    /// Samples of failed requests that were replayed on the previous deployment.
    pub compared: u64,
    /// Number of them that it answered.
    pub answered_before: u64,
}

impl Verdict {
    /// Formats the figures as a sentence for the log and the history.
    #[must_use]
    pub fn detail(&self) -> String {
        let Self { failed, requests, compared, answered_before, .. } = self;
        format!(
            "{failed} of {requests} requests failed; the previous deployment answered {answered_before} of {compared} \
             of these inputs"
        )
    }
}

impl Rule {
    /// Returns true if a comparison could end with a rollback.
    pub(super) fn may_fail(&self, answered: &ByGroup<u64>, suspects: &SuspectInputs) -> bool {
        self.is_met(sum(answered), suspects.most_counted().iter().sum())
    }

    /// Decides by the failures that comparisons have confirmed.
    ///
    /// One caller must not undo a deployment that serves the others. Once the others have enough requests, the share
    /// must also be reached without the caller that fails most.
    pub(super) fn judge(&self, taken: &Taken, suspects: &SuspectInputs) -> Verdict {
        let (counted, answered) = (suspects.counted(), &taken.answered);
        let (good, failures) = (sum(answered), counted.iter().sum::<f64>());
        let is_met = self.is_met(good, failures);
        let most = counted.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
        let (group, of_one) = most.map_or((0, 0.0), |(group, failures)| (group, *failures));
        let (others_good, others_failures) =
            (good - answered.get(group).copied().unwrap_or(0), failures - of_one);
        let is_one_caller = is_met
            && self.are_enough(others_good, others_failures)
            && !self.is_met(others_good, others_failures);
        let (compared, answered_before) = suspects.compared();
        let failed = taken.all;
        Verdict {
            takes_back: is_met && !is_one_caller,
            is_one_caller,
            failed,
            requests: failed + good,
            compared,
            answered_before,
        }
    }

    fn is_met(&self, good: u64, failures: f64) -> bool {
        let share = share(good, failures);
        // The previous deployment's failures are irrelevant once it answers more anyway.
        failures > 0.0
            && self.are_enough(good, failures)
            && share >= self.share
            && (share >= MOST_ANSWERS || share > self.before)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of more answers than 2^53 is as good when rounded"
    )]
    fn are_enough(&self, good: u64, failures: f64) -> bool {
        good as f64 + failures >= self.min_answers as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of more answers than 2^53 is as good when rounded")]
fn share(good: u64, failures: f64) -> f64 {
    failures / (good as f64 + failures).max(f64::MIN_POSITIVE)
}

fn sum(answers: &ByGroup<u64>) -> u64 {
    answers.iter().sum()
}
