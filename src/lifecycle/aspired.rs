//! A file in the repository, and how far it has come on its way into service.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Candidate, Defect, Proof, Reason, Refusal, Snapshot, fingerprint::Fingerprint, history::Timings,
    policy::Standing,
};
use crate::model::Digest;

/// A refusal that says nothing about the bytes is reconsidered after this long, and each time after twice as long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// It is not doubled more often than this: ten minutes and a half.
const MOST_DOUBLINGS: u32 = 7;

/// A disk that was full is tried again more often: every ten seconds.
const MOST_DOUBLINGS_OF_STORAGE: u32 = 1;

/// A file in the repository and what became of it.
pub(super) struct Aspired {
    pub(super) candidate: Candidate,
    pub(super) seen_since: Instant,
    /// Since when it is not there any more.
    pub(super) gone_since: Option<Instant>,
    /// Whether it was said that it serves on without its file.
    pub(super) kept: bool,
    /// Why it was refused last, and how often for this reason, if it is tried again: the same once more is no news.
    pub(super) passing: Option<(Reason, u32)>,
    /// Which piece of work is being done for it: the results of others are of no use.
    pub(super) work: u64,
    pub(super) timings: Timings,
    /// The files of this version that were tried last.
    pub(super) tried: Fingerprint,
    /// True if some of its files are those that were tried last, and others are not: the rest may still come.
    pub(super) is_half_replaced: bool,
    pub(super) stage: Stage,
}

/// What became of a file.
pub(super) enum Stage {
    /// It was seen.
    New,
    /// Its first hash is being made.
    Hashing,
    /// It had this hash, which has to be the same after a while.
    Hashed(Digest),
    /// It is being copied.
    Copying,
    /// Its copy is being proven.
    Proving,
    /// Its copy may serve.
    Proven(Box<Admitted>),
    Loaded,
    Refused(Refusal, Instant),
}

/// A copy that may serve.
pub(super) struct Admitted {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) proof: Proof,
}

/// How long things are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A file that did not change for this long is taken for finished.
    pub(super) settle: Duration,
    /// A file that is cut short is waited for, and so is the rest of files that belong together.
    pub(super) incomplete: Duration,
}

impl Aspired {
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

    /// A candidate in place of this one.
    pub(super) fn replaced_by(&self, candidate: Candidate) -> Self {
        let is_tried = self.candidate.defect.is_none()
            && !matches!(self.stage, Stage::New | Stage::Hashing | Stage::Hashed(_));
        let tried = if is_tried { &self.candidate.fingerprint } else { &self.tried };
        let is_half_replaced = candidate.fingerprint.is_part_of(tried);
        Self { tried: tried.clone(), is_half_replaced, ..Self::new(candidate) }
    }

    /// Returns true if no files of this version were tried since the start, but for those that were put back then.
    pub(super) fn is_first(&self) -> bool {
        self.tried == Fingerprint::default()
    }

    /// Returns true if files that belong to those which changed may still come.
    pub(super) fn awaits_rest(&self, patience: Patience) -> bool {
        self.is_half_replaced
            && self.seen_since.elapsed() < patience.incomplete
            && self.candidate.fingerprint.age(SystemTime::now()).is_none_or(|age| age < patience.incomplete)
    }

    /// How the file stands to the policy.
    pub(super) fn standing(&self, patience: Patience) -> Standing {
        match &self.stage {
            // It is here only because it serves; when its file comes back, it is what it was.
            _ if self.gone_since.is_some() => Standing::Loaded,
            Stage::New | Stage::Hashed(_) if self.awaits_rest(patience) => Standing::Unsettled,
            Stage::New if self.is_old(patience) => Standing::Untried,
            Stage::Hashed(_) if self.seen_since.elapsed() >= patience.settle => Standing::Untried,
            Stage::New | Stage::Hashing | Stage::Hashed(_) => Standing::Unsettled,
            Stage::Copying | Stage::Proving => Standing::Trying,
            Stage::Proven(_) => Standing::Proven,
            Stage::Loaded => Standing::Loaded,
            Stage::Refused(..) => Standing::Refused,
        }
    }

    /// Whether the file system itself says that the file has not changed for long enough, so that two looks at it now
    /// would tell no more.
    pub(super) fn is_old(&self, patience: Patience) -> bool {
        let age = self.candidate.fingerprint.age(SystemTime::now());
        self.candidate.defect.is_none() && age.is_some_and(|age| age >= patience.settle)
    }

    /// Why the file cannot be tried at all, once it has been waited for.
    pub(super) fn defect(&self, patience: Patience) -> Option<Refusal> {
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

    /// Whether the last try said nothing about the content and is long enough ago.
    pub(super) fn is_to_be_retried(&self) -> bool {
        let most = |reason| match reason {
            Reason::StorageUnavailable => MOST_DOUBLINGS_OF_STORAGE,
            _ => MOST_DOUBLINGS,
        };
        let doublings = self.passing.map_or(0, |(reason, times)| times.saturating_sub(1).min(most(reason)));
        matches!(&self.stage, Stage::Refused(refusal, since)
            if refusal.reason.is_passing() && since.elapsed() >= RETRY_AFTER * 2_u32.pow(doublings))
    }

    /// What is waited for, if something is.
    pub(super) fn waiting(&self) -> Option<String> {
        match (&self.stage, &self.candidate.defect) {
            (Stage::New | Stage::Hashed(_), None) if self.is_half_replaced => {
                Some("only a part of its files changed; the rest is waited for".to_owned())
            }
            (Stage::New, Some(Defect::Incomplete(detail))) => Some(format!("{detail}; it is waited for")),
            (Stage::New | Stage::Hashing | Stage::Hashed(_), _) => {
                Some("it may still be being written".to_owned())
            }
            (Stage::Copying, _) => Some("it is being copied".to_owned()),
            (Stage::Proving, _) => Some("it is being proven".to_owned()),
            (Stage::Proven(_), _) => Some("it is being loaded".to_owned()),
            (Stage::Loaded | Stage::Refused(..), _) => None,
        }
    }
}
