//! The transitions of a version: a pure function from its state, an event and the moment to its next state and effects.
//!
//! The manager turns what happens into events, and carries out the effects. Whatever else it knows of the model is part
//! of the event, so that a table of events tests every transition.

use std::sync::Arc;

use super::{Admitted, Moment, RepositoryFiles, Stage, VersionHarness};
use crate::{
    lifecycle::{Candidate, Proof, Reason, Refusal, Snapshot},
    model::Digest,
};

/// An event in the life of a version.
#[derive(Debug)]
pub(in crate::lifecycle) enum VersionEvent {
    /// A scan found these files.
    Found(Candidate),
    /// A scan did not find its files.
    Missed,
    /// The files are gone for good, and the settings keep the version in service.
    Kept,
    /// The scan that found its files is over.
    Scanned,
    /// The files are those of the copy that serves.
    Recognized(Candidate),
    /// The policy chose it for the proof.
    ProofDue,
    /// The job that it needs was queued under this number.
    Queued(u64),
    /// A worker finished the job of this number.
    Finished { job: u64, duration_ms: u64, outcome: Outcome },
    /// The policy chose it for service.
    LoadDue,
    /// The version was put into service.
    Loaded { load_ms: u64 },
    /// The copy could not be loaded.
    LoadFailed { snapshot: Arc<Snapshot>, refusal: Refusal },
    /// The version may not serve. The same content may serve as another version, or later.
    Refused { digest: Option<Digest>, refusal: Refusal },
    /// The version was rolled back, which was reported as such.
    RolledBack(Refusal),
    /// The version was taken out of service.
    Unloaded,
    /// The private copy of what serves was lost.
    CopyLost,
    /// The policy chose other versions.
    NotNeeded,
    /// Refusals for this reason do not hold any more; `None` means for any reason.
    RefusalLifted(Option<Reason>),
    /// The configuration changed so that every file may be judged differently.
    Reconfigured,
}

/// The outcome of a job.
#[derive(Debug)]
pub(in crate::lifecycle) enum Outcome {
    /// The first hash of the files.
    Hashed(Digest),
    /// The files changed meanwhile.
    Changed,
    /// The files were copied. `is_part_of_loaded` is true if some of them serve already and others do not.
    Copied { snapshot: Arc<Snapshot>, is_part_of_loaded: bool, verdict: CopyVerdict },
    /// The copy runs. `breaks_callers` is the refusal if callers of the version in service would break.
    Proven { admitted: Box<Admitted>, breaks_callers: Option<Refusal> },
    /// The files cannot be hashed or copied.
    Unusable(Refusal),
    /// The copy does not run.
    Disproven { snapshot: Arc<Snapshot>, refusal: Refusal },
}

/// Prior knowledge of the content of a copy.
#[derive(Debug)]
pub(in crate::lifecycle) enum CopyVerdict {
    /// The content serves as this version.
    Serves,
    /// The content was refused before.
    Refused(Refusal),
    /// The content was proven before. The refusal is for callers of the version in service that would break.
    Proven(Box<Proof>, Option<Refusal>),
    /// The content is new.
    Unknown,
}

/// An output of a transition.
#[derive(Debug)]
pub(in crate::lifecycle) enum Output {
    /// Remember in the record of the model that this content was refused.
    Remember { content: Digest, refusal: Refusal },
    /// Check the schedule of what serves.
    Reschedule,
    /// Act outside of the record.
    Effect(Effect),
}

/// An effect that the manager carries out.
#[derive(Debug)]
pub(in crate::lifecycle) enum Effect {
    /// Hash these files.
    Hash(Candidate),
    /// Copy these files, which must still have this hash.
    Copy(Candidate, Option<Digest>),
    /// Prove this copy.
    Prove(Arc<Snapshot>),
    /// Load this copy and put it into service.
    Load(Box<Admitted>),
    /// Report that it was refused.
    ReportRefusal { digest: Option<Digest>, refusal: Refusal },
    /// Report that it serves on without its files.
    ReportKept,
    /// Apply the policy to the model again.
    Evaluate,
    /// Remove copies that are not needed any more.
    Sweep,
}

/// Returns the outputs of a refusal, whatever the state of the version.
pub(in crate::lifecycle) fn refusal_outputs(
    digest: Option<Digest>,
    refusal: Refusal,
    is_news: bool,
) -> Vec<Output> {
    let report = is_news.then_some(Effect::ReportRefusal { digest, refusal });
    [Effect::Evaluate, Effect::Sweep].into_iter().chain(report).map(Output::Effect).collect()
}

impl VersionHarness {
    /// Applies an event. Returns its outputs, in the order in which they are carried out.
    pub(in crate::lifecycle) fn on(&mut self, event: VersionEvent, at: Moment) -> Vec<Output> {
        match event {
            VersionEvent::Found(candidate) => self.found(candidate, at),
            VersionEvent::Missed => {
                self.gone_since.get_or_insert(at.now);
            }
            VersionEvent::Kept if !self.kept => {
                self.kept = true;
                return vec![Output::Effect(Effect::ReportKept)];
            }
            VersionEvent::Scanned => return self.scanned(at),
            VersionEvent::Recognized(candidate) if self.stage == Stage::Loaded => {
                self.files = RepositoryFiles::Found(candidate);
            }
            VersionEvent::ProofDue => return self.proof_due(),
            VersionEvent::Queued(job) => self.job = job,
            VersionEvent::Finished { job, duration_ms, outcome } if self.awaits(job, &outcome) => {
                return self.finished(outcome, duration_ms, at);
            }
            VersionEvent::LoadDue => return self.load_due(),
            VersionEvent::Loaded { load_ms } => {
                self.stage = Stage::Loaded;
                (self.timings.load_ms, self.passing) = (load_ms, None);
            }
            VersionEvent::LoadFailed { snapshot, refusal } => {
                return self.refuse_content(&snapshot, refusal, at);
            }
            VersionEvent::Refused { digest, refusal } => return self.refuse(digest, refusal, at),
            VersionEvent::RolledBack(refusal) if self.stage == Stage::Loaded => {
                self.stage = Stage::Refused(refusal, at.now);
            }
            // The file is tried again if it returns, or if a newer version is removed.
            VersionEvent::Unloaded if self.stage == Stage::Loaded => self.stage = Stage::New,
            // A job under way may have found the copy just before it was lost, so its result does not count either.
            VersionEvent::CopyLost
                if matches!(self.stage, Stage::Copying | Stage::Loaded) && self.gone_since.is_none() =>
            {
                self.stage = Stage::New;
            }
            VersionEvent::NotNeeded if self.admitted().is_some() => {
                self.stage = Stage::New;
                return vec![Output::Effect(Effect::Sweep)];
            }
            VersionEvent::RefusalLifted(reason) if self.is_refused_for(reason) => self.stage = Stage::New,
            VersionEvent::Reconfigured => self.stage = Stage::New,
            VersionEvent::Kept
            | VersionEvent::Recognized(_)
            | VersionEvent::Finished { .. }
            | VersionEvent::RolledBack(_)
            | VersionEvent::Unloaded
            | VersionEvent::CopyLost
            | VersionEvent::NotNeeded
            | VersionEvent::RefusalLifted(_) => {}
        }
        Vec::new()
    }

    fn found(&mut self, candidate: Candidate, at: Moment) {
        if self.files.found() != Some(&candidate) {
            *self = self.replaced_by(candidate, at);
            return;
        }
        (self.gone_since, self.kept) = (None, false);
        if self.needs_retry(at) {
            self.stage = Stage::New;
        }
    }

    /// Returns the successor of this one for other files of the same version.
    fn replaced_by(&self, candidate: Candidate, at: Moment) -> Self {
        let is_tried = !matches!(self.stage, Stage::New | Stage::Hashing | Stage::Hashed(_));
        let last = self.files.found().filter(|last| is_tried && last.defect.is_none());
        let tried = last.map_or(&self.tried, |last| &last.fingerprint);
        let is_half_replaced = candidate.fingerprint.is_part_of(tried);
        Self { tried: tried.clone(), is_half_replaced, ..Self::new(candidate, at.now) }
    }

    /// Refuses files that cannot even be tried, and starts the first hash of new files that changed a moment ago.
    fn scanned(&mut self, at: Moment) -> Vec<Output> {
        if let Some(refusal) = self.defect(at) {
            return self.refuse(None, refusal, at);
        }
        let is_due = self.stage == Stage::New && self.files.defect().is_none() && !self.is_old(at);
        let RepositoryFiles::Found(candidate) = &self.files else { return Vec::new() };
        if !is_due {
            return Vec::new();
        }
        self.stage = Stage::Hashing;
        vec![Output::Effect(Effect::Hash(candidate.clone()))]
    }

    /// Starts the copy of files that a scan found. There is nothing to copy if none did.
    fn proof_due(&mut self) -> Vec<Output> {
        let RepositoryFiles::Found(candidate) = &self.files else { return Vec::new() };
        let hash = if let Stage::Hashed(hash) = self.stage { Some(hash) } else { None };
        self.stage = Stage::Copying;
        vec![Output::Effect(Effect::Copy(candidate.clone(), hash))]
    }

    /// Returns true unless the outcome is for other files, or for another configuration.
    fn awaits(&self, job: u64, outcome: &Outcome) -> bool {
        let is_of_stage = match outcome {
            Outcome::Hashed(_) => self.stage == Stage::Hashing,
            Outcome::Changed | Outcome::Unusable(_) => matches!(self.stage, Stage::Hashing | Stage::Copying),
            Outcome::Copied { .. } => self.stage == Stage::Copying,
            Outcome::Proven { .. } | Outcome::Disproven { .. } => self.stage == Stage::Proving,
        };
        self.job == job && is_of_stage
    }

    fn finished(&mut self, outcome: Outcome, duration_ms: u64, at: Moment) -> Vec<Output> {
        match outcome {
            Outcome::Hashed(hash) => {
                self.stage = Stage::Hashed(hash);
                Vec::new()
            }
            Outcome::Changed => {
                // The next scan finds the files new, or gone.
                self.stage = Stage::New;
                self.seen_since = at.now;
                self.files = RepositoryFiles::Unseen;
                Vec::new()
            }
            Outcome::Copied { snapshot, is_part_of_loaded, verdict } => {
                self.timings.copy_ms = duration_ms;
                self.copied(snapshot, is_part_of_loaded, verdict, at)
            }
            Outcome::Proven { admitted, breaks_callers } => {
                self.timings.proof_ms = duration_ms;
                self.proven(admitted, breaks_callers, at)
            }
            Outcome::Unusable(refusal) => self.refuse(None, refusal, at),
            Outcome::Disproven { snapshot, refusal } => self.refuse_content(&snapshot, refusal, at),
        }
    }

    /// Proves a copy, unless its content is known already.
    fn copied(
        &mut self,
        snapshot: Arc<Snapshot>,
        is_part_of_loaded: bool,
        verdict: CopyVerdict,
        at: Moment,
    ) -> Vec<Output> {
        if is_part_of_loaded && self.is_first() {
            self.is_half_replaced = true;
            if self.awaits_rest(at) {
                self.stage = Stage::New;
                return vec![Output::Effect(Effect::Sweep)];
            }
        }
        match verdict {
            CopyVerdict::Serves => {
                self.stage = Stage::Loaded;
                // Rescheduling may have failed before for lack of memory.
                vec![Output::Reschedule]
            }
            // The refusal was reported when it was made.
            CopyVerdict::Refused(refusal) => {
                self.stage = Stage::Refused(refusal, at.now);
                vec![Output::Effect(Effect::Sweep)]
            }
            CopyVerdict::Proven(proof, breaks_callers) => {
                self.proven(Box::new(Admitted { snapshot, proof: *proof }), breaks_callers, at)
            }
            CopyVerdict::Unknown => {
                self.stage = Stage::Proving;
                vec![Output::Effect(Effect::Prove(snapshot))]
            }
        }
    }

    fn proven(
        &mut self,
        admitted: Box<Admitted>,
        breaks_callers: Option<Refusal>,
        at: Moment,
    ) -> Vec<Output> {
        if let Some(refusal) = breaks_callers {
            return self.refuse_content(&admitted.snapshot, refusal, at);
        }
        self.stage = Stage::Proven(admitted);
        Vec::new()
    }

    fn load_due(&mut self) -> Vec<Output> {
        match std::mem::replace(&mut self.stage, Stage::New) {
            Stage::Proven(admitted) => vec![Output::Effect(Effect::Load(admitted))],
            other => {
                self.stage = other;
                Vec::new()
            }
        }
    }

    fn refuse_content(&mut self, snapshot: &Snapshot, refusal: Refusal, at: Moment) -> Vec<Output> {
        let remember = Output::Remember { content: snapshot.content(), refusal: refusal.clone() };
        let outputs = self.refuse(Some(snapshot.digest()), refusal, at);
        std::iter::once(remember).chain(outputs).collect()
    }

    /// Refuses the files. A repetition of the same reason is not reported: compared by reason, because the sentence may
    /// hold a number that differs each time.
    fn refuse(&mut self, digest: Option<Digest>, refusal: Refusal, at: Moment) -> Vec<Output> {
        let repeated = self.passing.filter(|(reason, _)| *reason == refusal.reason);
        let times = repeated.map_or(0, |(_, times)| times);
        self.passing = refusal.reason.is_passing().then_some((refusal.reason, times + 1));
        self.stage = Stage::Refused(refusal.clone(), at.now);
        refusal_outputs(digest, refusal, times == 0)
    }

    /// Returns true if it was refused for this reason, or at all if there is none.
    fn is_refused_for(&self, reason: Option<Reason>) -> bool {
        self.refusal().is_some_and(|refusal| reason.is_none_or(|reason| refusal.reason == reason))
    }
}
