//! A file in the repository and its progress on the way into service.

mod transitions;

#[cfg(test)]
pub(super) mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Candidate, Defect, Proof, Reason, Refusal, Snapshot, fingerprint::Fingerprint, history::Timings,
    policy::CandidateState,
};
use crate::model::Digest;
pub(super) use transitions::{CopyVerdict, Effect, Outcome, Output, VersionEvent, refusal_outputs};

/// First pause before a refusal that says nothing about the bytes is reconsidered. The pause doubles each time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Limit of doublings: the longest pause is ten minutes and a half.
const MOST_DOUBLINGS: u32 = 7;

/// Limit of doublings after a full disk: every ten seconds.
const MOST_DOUBLINGS_OF_STORAGE: u32 = 1;

/// A file in the repository and the state of its version. Only [`VersionHarness::on`] changes it.
#[derive(Debug)]
pub(super) struct VersionHarness {
    files: RepositoryFiles,
    seen_since: Instant,
    /// Time at which the file disappeared. `None` while it is there.
    gone_since: Option<Instant>,
    /// True if it was reported that the version serves on without its file.
    kept: bool,
    /// The last reason of a refusal that is retried, and the number of times in a row. A repetition is not reported
    /// again.
    passing: Option<(Reason, u32)>,
    /// Number of the current job for it; results of earlier ones are discarded.
    job: u64,
    timings: Timings,
    /// The files of this version that were tried last.
    tried: Fingerprint,
    /// True if some files are those that were tried last and others are not: the rest may still come.
    is_half_replaced: bool,
    stage: Stage,
}

/// The files of a version in the repository.
#[derive(Debug)]
enum RepositoryFiles {
    /// A scan found these.
    Found(Candidate),
    /// No scan has seen them as they are now, if there are any: the version was restored from its copy, or they changed
    /// while a worker read them.
    Unseen,
}

/// Stages of a file.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
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
#[derive(Clone, Debug)]
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

/// The moment at which a state is judged. The state machine reads no clock, so that tests can move time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Time by the system's clock, to which the change times of files are compared.
    pub(super) wall: SystemTime,
    pub(super) times: SettleTimes,
}

impl PartialEq for Admitted {
    fn eq(&self, other: &Self) -> bool {
        (self.snapshot.content(), &self.proof) == (other.snapshot.content(), &other.proof)
    }
}

impl Moment {
    /// Reads both clocks.
    pub(super) fn now(times: SettleTimes) -> Self {
        Self { now: Instant::now(), wall: SystemTime::now(), times }
    }

    /// Returns the time that has passed since then.
    pub(super) fn since(&self, then: Instant) -> Duration {
        self.now.saturating_duration_since(then)
    }
}

impl RepositoryFiles {
    /// Returns the files that a scan found. `None` if no scan has seen them as they are now.
    fn found(&self) -> Option<&Candidate> {
        match self {
            Self::Found(candidate) => Some(candidate),
            Self::Unseen => None,
        }
    }

    /// Returns the time since their last change. `None` if it is not known.
    fn age(&self, wall: SystemTime) -> Option<Duration> {
        self.found()?.fingerprint.age(wall)
    }

    /// Returns the defect that is visible without copying them. `None` if there is none.
    fn defect(&self) -> Option<&Defect> {
        self.found()?.defect.as_ref()
    }
}

impl VersionHarness {
    /// Creates the harness of a version whose files a scan found.
    pub(super) fn new(candidate: Candidate, now: Instant) -> Self {
        Self::of(RepositoryFiles::Found(candidate), Stage::New, now)
    }

    /// Creates the harness of a version that serves from its copy. Any files that a scan finds are examined. If it
    /// finds none, they count as removed.
    pub(super) fn restored(now: Instant) -> Self {
        Self::of(RepositoryFiles::Unseen, Stage::Loaded, now)
    }

    fn of(files: RepositoryFiles, stage: Stage, now: Instant) -> Self {
        Self {
            files,
            seen_since: now,
            gone_since: None,
            kept: false,
            passing: None,
            job: 0,
            timings: Timings::default(),
            tried: Fingerprint::default(),
            is_half_replaced: false,
            stage,
        }
    }

    /// Returns the time at which the file disappeared. `None` while it is there.
    pub(super) fn gone_since(&self) -> Option<Instant> {
        self.gone_since
    }

    /// Returns the durations of its way into service.
    pub(super) fn timings(&self) -> Timings {
        self.timings
    }

    /// Returns the copy that may serve. `None` unless it is proven and not loaded.
    pub(super) fn admitted(&self) -> Option<&Admitted> {
        match &self.stage {
            Stage::Proven(admitted) => Some(admitted),
            _ => None,
        }
    }

    /// Returns the reason why the file does not serve. `None` if it was not refused.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match &self.stage {
            Stage::Refused(refusal, _) => Some(refusal),
            _ => None,
        }
    }

    /// Returns true if a scan that finds the same files needs no action.
    pub(super) fn is_calm(&self, at: Moment) -> bool {
        self.gone_since.is_none()
            && match &self.stage {
                Stage::New => self.is_old(at),
                Stage::Refused(refusal, _) => !refusal.reason.is_passing(),
                _ => true,
            }
    }

    /// Returns true if no files of this version were tried since the start, except those restored then.
    fn is_first(&self) -> bool {
        self.tried == Fingerprint::default()
    }

    /// Returns true if more files may follow those that changed.
    fn awaits_rest(&self, at: Moment) -> bool {
        self.is_half_replaced
            && at.since(self.seen_since) < at.times.incomplete
            && self.files.age(at.wall).is_none_or(|age| age < at.times.incomplete)
    }

    /// Returns the file's state from the policy's point of view.
    pub(super) fn candidate_state(&self, at: Moment) -> CandidateState {
        match &self.stage {
            // It is listed only because it serves. If its file returns, it continues as it was.
            _ if self.gone_since.is_some() => CandidateState::Loaded,
            Stage::New | Stage::Hashed(_) if self.awaits_rest(at) => CandidateState::Unsettled,
            Stage::New if self.is_old(at) => CandidateState::Untried,
            Stage::Hashed(_) if at.since(self.seen_since) >= at.times.settle => CandidateState::Untried,
            Stage::New | Stage::Hashing | Stage::Hashed(_) => CandidateState::Unsettled,
            Stage::Copying | Stage::Proving => CandidateState::Trying,
            Stage::Proven(_) => CandidateState::Proven,
            Stage::Loaded => CandidateState::Loaded,
            Stage::Refused(..) => CandidateState::Refused,
        }
    }

    /// Returns true if the file system's change time alone proves that the file has settled, so that a second look
    /// would add nothing.
    fn is_old(&self, at: Moment) -> bool {
        let age = self.files.age(at.wall);
        self.files.defect().is_none() && age.is_some_and(|age| age >= at.times.settle)
    }

    /// Returns the reason why the file cannot be tried at all. `None` if there is none, or it may still change.
    fn defect(&self, at: Moment) -> Option<Refusal> {
        if !matches!(self.stage, Stage::New) {
            return None;
        }
        let waited = at.since(self.seen_since);
        match self.files.defect()? {
            Defect::Incomplete(detail) if waited >= at.times.incomplete => {
                Some(Refusal::new(Reason::Truncated, detail.clone()))
            }
            Defect::Unusable(refusal) if waited >= at.times.settle => Some(refusal.clone()),
            Defect::Incomplete(_) | Defect::Unusable(_) => None,
        }
    }

    /// Returns true if the last refusal said nothing about the content and its pause is over.
    fn needs_retry(&self, at: Moment) -> bool {
        let most = |reason| match reason {
            Reason::StorageUnavailable => MOST_DOUBLINGS_OF_STORAGE,
            _ => MOST_DOUBLINGS,
        };
        let doublings = self.passing.map_or(0, |(reason, times)| times.saturating_sub(1).min(most(reason)));
        matches!(&self.stage, Stage::Refused(refusal, since)
            if refusal.reason.is_passing() && at.since(*since) >= RETRY_AFTER * 2_u32.pow(doublings))
    }

    /// Returns the event that the file waits for. `None` if it does not wait.
    pub(super) fn waiting(&self) -> Option<String> {
        match (&self.stage, self.files.defect()) {
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
