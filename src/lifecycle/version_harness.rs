//! A file in the repository and its progress on the way into service.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Candidate, Defect, Proof, Reason, Refusal, Snapshot, fingerprint::Fingerprint, history::Timings,
    policy::CandidateState,
};
use crate::model::Digest;

/// First pause before a refusal that says nothing about the bytes is reconsidered. The pause doubles each time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Limit of doublings: the longest pause is ten minutes and a half.
const MOST_DOUBLINGS: u32 = 7;

/// Limit of doublings after a full disk: every ten seconds.
const MOST_DOUBLINGS_OF_STORAGE: u32 = 1;

/// A file in the repository and the state of its version.
pub(super) struct VersionHarness {
    pub(super) candidate: Candidate,
    pub(super) seen_since: Instant,
    /// Time at which the file disappeared. `None` while it is there.
    pub(super) gone_since: Option<Instant>,
    /// True if it was reported that the version serves on without its file.
    pub(super) kept: bool,
    /// The last reason of a refusal that is retried, and the number of times in a row. A repetition is not reported
    /// again.
    pub(super) passing: Option<(Reason, u32)>,
    /// Number of the current piece of work for it; results of earlier ones are discarded.
    pub(super) work: u64,
    pub(super) timings: Timings,
    /// The files of this version that were tried last.
    pub(super) tried: Fingerprint,
    /// True if some files are those that were tried last and others are not: the rest may still come.
    pub(super) is_half_replaced: bool,
    pub(super) stage: Stage,
}

/// Stages of a file.
pub(super) enum Stage {
    /// Seen, not yet hashed.
    New,
    /// The first hash is being computed.
    Hashing,
    /// Hashed once; the hash has to be the same once the file has settled.
    Hashed(Digest),
    /// The files are being copied.
    Copying,
    /// The copy is being proven.
    Proving,
    /// The copy may serve.
    Proven(Box<Admitted>),
    Loaded,
    Refused(Refusal, Instant),
}

/// A copy that may serve.
pub(super) struct Admitted {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) proof: Proof,
}

/// Times to wait for files that may still change.
#[derive(Clone, Copy, Debug)]
pub(super) struct SettleTimes {
    /// A file that did not change for this long has settled.
    pub(super) settle: Duration,
    /// Longest wait for the rest of a truncated file, or of files that belong together.
    pub(super) incomplete: Duration,
}

impl VersionHarness {
    pub(super) fn new(candidate: Candidate) -> Self {
        Self {
            candidate,
            seen_since: Instant::now(),
            gone_since: None,
            kept: false,
            passing: None,
            work: 0,
            timings: Timings::default(),
            tried: Fingerprint::default(),
            is_half_replaced: false,
            stage: Stage::New,
        }
    }

    /// Returns the successor of this one for other files of the same version.
    pub(super) fn replaced_by(&self, candidate: Candidate) -> Self {
        let is_tried = self.candidate.defect.is_none()
            && !matches!(self.stage, Stage::New | Stage::Hashing | Stage::Hashed(_));
        let tried = if is_tried { &self.candidate.fingerprint } else { &self.tried };
        let is_half_replaced = candidate.fingerprint.is_part_of(tried);
        Self { tried: tried.clone(), is_half_replaced, ..Self::new(candidate) }
    }

    /// Returns true if no files of this version were tried since the start, except those restored then.
    pub(super) fn is_first(&self) -> bool {
        self.tried == Fingerprint::default()
    }

    /// Returns true if more files may follow those that changed.
    pub(super) fn awaits_rest(&self, patience: SettleTimes) -> bool {
        self.is_half_replaced
            && self.seen_since.elapsed() < patience.incomplete
            && self.candidate.fingerprint.age(SystemTime::now()).is_none_or(|age| age < patience.incomplete)
    }

    /// Returns the file's state from the policy's point of view.
    pub(super) fn standing(&self, patience: SettleTimes) -> CandidateState {
        match &self.stage {
            // It is listed only because it serves. If its file returns, it continues as it was.
            _ if self.gone_since.is_some() => CandidateState::Loaded,
            Stage::New | Stage::Hashed(_) if self.awaits_rest(patience) => CandidateState::Unsettled,
            Stage::New if self.is_old(patience) => CandidateState::Untried,
            Stage::Hashed(_) if self.seen_since.elapsed() >= patience.settle => CandidateState::Untried,
            Stage::New | Stage::Hashing | Stage::Hashed(_) => CandidateState::Unsettled,
            Stage::Copying | Stage::Proving => CandidateState::Trying,
            Stage::Proven(_) => CandidateState::Proven,
            Stage::Loaded => CandidateState::Loaded,
            Stage::Refused(..) => CandidateState::Refused,
        }
    }

    /// Returns true if the file system's change time alone proves that the file has settled, so that a second look
    /// would add nothing.
    pub(super) fn is_old(&self, patience: SettleTimes) -> bool {
        let age = self.candidate.fingerprint.age(SystemTime::now());
        self.candidate.defect.is_none() && age.is_some_and(|age| age >= patience.settle)
    }

    /// Returns the reason why the file cannot be tried at all. `None` if there is none, or it may still change.
    pub(super) fn defect(&self, patience: SettleTimes) -> Option<Refusal> {
        if !matches!(self.stage, Stage::New) {
            return None;
        }
        let waited = self.seen_since.elapsed();
        match self.candidate.defect.as_ref()? {
            Defect::Incomplete(detail) if waited >= patience.incomplete => {
                Some(Refusal::new(Reason::Truncated, detail.clone()))
            }
            Defect::Unusable(refusal) if waited >= patience.settle => Some(refusal.clone()),
            Defect::Incomplete(_) | Defect::Unusable(_) => None,
        }
    }

    /// Returns true if the last refusal said nothing about the content and its pause is over.
    pub(super) fn needs_retry(&self) -> bool {
        let most = |reason| match reason {
            Reason::StorageUnavailable => MOST_DOUBLINGS_OF_STORAGE,
            _ => MOST_DOUBLINGS,
        };
        let doublings = self.passing.map_or(0, |(reason, times)| times.saturating_sub(1).min(most(reason)));
        matches!(&self.stage, Stage::Refused(refusal, since)
            if refusal.reason.is_passing() && since.elapsed() >= RETRY_AFTER * 2_u32.pow(doublings))
    }

    /// Returns the event that the file waits for. `None` if it does not wait.
    pub(super) fn waiting(&self) -> Option<String> {
        match (&self.stage, &self.candidate.defect) {
            (Stage::New | Stage::Hashed(_), None) if self.is_half_replaced => {
                Some("only some of its files changed; waiting for the rest".to_owned())
            }
            (Stage::New, Some(Defect::Incomplete(detail))) => Some(format!("{detail}; waiting for it")),
            (Stage::New | Stage::Hashing | Stage::Hashed(_), _) => {
                Some("it may still be written to".to_owned())
            }
            (Stage::Copying, _) => Some("it is being copied".to_owned()),
            (Stage::Proving, _) => Some("it is being proven".to_owned()),
            (Stage::Proven(_), _) => Some("it is being loaded".to_owned()),
            (Stage::Loaded | Stage::Refused(..), _) => None,
        }
    }
}
