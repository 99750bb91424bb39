//! Every transition, event by event.

use std::path::Path;

use super::*;
use crate::{
    lifecycle::{CopiedFile, CopiedFiles, Manifest, source::FilesHandle},
    model::ModelVersion,
};

const JOB: u64 = 7;

const TIMES: SettleTimes = SettleTimes { settle: Duration::from_secs(1), incomplete: Duration::from_mins(1) };

/// A file that was changed a moment ago, as far as `now` tells, and long ago as far as `later` does.
pub(in crate::lifecycle) fn candidate() -> Candidate {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    Candidate {
        model: "iris".parse().unwrap(),
        version: ModelVersion::new(1),
        files: FilesHandle::of_nothing(),
        fingerprint: Fingerprint::of([file.as_path()]),
        external: Vec::new(),
        signatures: Fingerprint::default(),
        defect: None,
    }
}

fn defective(defect: Defect) -> Candidate {
    Candidate { defect: Some(defect), ..candidate() }
}

pub(in crate::lifecycle) fn snapshot(content: &str) -> Arc<Snapshot> {
    let digest = Digest::of(content.as_bytes());
    let file = CopiedFile { path: "model.onnx".to_owned(), digest, bytes: 1 };
    let manifest = Manifest {
        content: digest,
        digest,
        files: CopiedFiles { model: file, data: Vec::new() },
        contract: None,
    };
    Arc::new(Snapshot::found("/nowhere".into(), manifest))
}

fn admitted() -> Box<Admitted> {
    Box::new(Admitted { snapshot: snapshot("one"), proof: Proof::of_nothing() })
}

fn refusal(reason: Reason) -> Refusal {
    Refusal::new(reason, "as in a test")
}

/// The moment at which every file has just changed.
pub(in crate::lifecycle) fn moment() -> Moment {
    Moment { now: Instant::now(), wall: SystemTime::UNIX_EPOCH, times: TIMES }
}

fn later(at: Moment, seconds: u64) -> Moment {
    Moment { now: at.now + Duration::from_secs(seconds), ..at }
}

fn in_stage(stage: Stage, at: Moment) -> VersionHarness {
    VersionHarness { job: JOB, stage, ..VersionHarness::new(candidate(), at.now) }
}

fn stage_of(harness: &VersionHarness) -> &'static str {
    match harness.stage {
        Stage::New => "new",
        Stage::Hashing => "hashing",
        Stage::Hashed(_) => "hashed",
        Stage::Copying => "copying",
        Stage::Proving => "proving",
        Stage::Proven(_) => "proven",
        Stage::Loaded => "loaded",
        Stage::Refused(..) => "refused",
    }
}

fn named(outputs: &[Output]) -> Vec<&'static str> {
    let name = |output: &Output| match output {
        Output::Remember { .. } => "remember",
        Output::Reschedule => "reschedule",
        Output::Effect(effect) => match effect {
            Effect::Hash(_) => "hash",
            Effect::Copy(_, None) => "copy",
            Effect::Copy(_, Some(_)) => "copy what was hashed",
            Effect::Prove(_) => "prove",
            Effect::Load(_) => "load",
            Effect::ReportRefusal { .. } => "report refusal",
            Effect::ReportKept => "report kept",
            Effect::Evaluate => "evaluate",
            Effect::Sweep => "sweep",
        },
    };
    outputs.iter().map(name).collect()
}

/// Applies an event in a stage. Returns the next stage and the outputs.
fn after(stage: Stage, event: VersionEvent) -> (&'static str, Vec<&'static str>) {
    let at = moment();
    let mut harness = in_stage(stage, at);
    let outputs = harness.on(event, at);
    (stage_of(&harness), named(&outputs))
}

fn finished(outcome: Outcome) -> VersionEvent {
    VersionEvent::Finished { job: JOB, duration_ms: 1, outcome }
}

fn copied(verdict: CopyVerdict) -> VersionEvent {
    finished(Outcome::Copied { snapshot: snapshot("one"), is_part_of_loaded: false, verdict })
}

fn refused(reason: Reason) -> Stage {
    Stage::Refused(refusal(reason), Instant::now())
}

fn stages() -> [Stage; 8] {
    let hash = Digest::of(b"one");
    [
        Stage::New,
        Stage::Hashing,
        Stage::Hashed(hash),
        Stage::Copying,
        Stage::Proving,
        Stage::Proven(admitted()),
        Stage::Loaded,
        refused(Reason::RunFailed),
    ]
}

const REFUSED: [&str; 3] = ["evaluate", "sweep", "report refusal"];

const REFUSED_CONTENT: [&str; 4] = ["remember", "evaluate", "sweep", "report refusal"];

#[test]
fn a_new_file_is_hashed_copied_proven_and_loaded() {
    let hash = Digest::of(b"one");
    let proven = || Outcome::Proven { admitted: admitted(), breaks_callers: None };
    let cases = [
        (Stage::New, VersionEvent::Scanned, "hashing", vec!["hash"]),
        (Stage::Hashing, finished(Outcome::Hashed(hash)), "hashed", vec![]),
        (Stage::Hashed(hash), VersionEvent::ProofDue, "copying", vec!["copy what was hashed"]),
        (Stage::New, VersionEvent::ProofDue, "copying", vec!["copy"]),
        (Stage::Copying, copied(CopyVerdict::Unknown), "proving", vec!["prove"]),
        (Stage::Proving, finished(proven()), "proven", vec![]),
        (Stage::Proven(admitted()), VersionEvent::LoadDue, "new", vec!["load"]),
        (Stage::New, VersionEvent::Loaded { load_ms: 1 }, "loaded", vec![]),
    ];
    for (stage, event, next, outputs) in cases {
        let name = format!("{stage:?}, {event:?}");
        assert_eq!(after(stage, event), (next, outputs), "{name}");
    }
}

#[test]
fn a_copy_whose_content_is_known_is_not_proven_again() {
    let breaking = Some(refusal(Reason::IncompatibleSignature));
    let proof = || Box::new(Proof::of_nothing());
    let cases = [
        (CopyVerdict::Serves, "loaded", vec!["reschedule"]),
        (CopyVerdict::Refused(refusal(Reason::RunFailed)), "refused", vec!["sweep"]),
        (CopyVerdict::Proven(proof(), None), "proven", vec![]),
        (CopyVerdict::Proven(proof(), breaking), "refused", REFUSED_CONTENT.to_vec()),
        (CopyVerdict::Unknown, "proving", vec!["prove"]),
    ];
    for (verdict, next, outputs) in cases {
        let name = format!("{verdict:?}");
        assert_eq!(after(Stage::Copying, copied(verdict)), (next, outputs), "{name}");
    }
}

#[test]
fn what_fails_is_refused_and_a_content_that_fails_is_remembered() {
    let refusal = || refusal(Reason::RunFailed);
    let breaks_callers = Some(refusal());
    let cases = [
        (Stage::Hashing, finished(Outcome::Unusable(refusal())), REFUSED.to_vec()),
        (Stage::Copying, finished(Outcome::Unusable(refusal())), REFUSED.to_vec()),
        (
            Stage::Proving,
            finished(Outcome::Disproven { snapshot: snapshot("one"), refusal: refusal() }),
            REFUSED_CONTENT.to_vec(),
        ),
        (
            Stage::Proving,
            finished(Outcome::Proven { admitted: admitted(), breaks_callers }),
            REFUSED_CONTENT.to_vec(),
        ),
        (
            Stage::New,
            VersionEvent::LoadFailed { snapshot: snapshot("one"), refusal: refusal() },
            REFUSED_CONTENT.to_vec(),
        ),
        (Stage::Loaded, VersionEvent::Refused { digest: None, refusal: refusal() }, REFUSED.to_vec()),
    ];
    for (stage, event, outputs) in cases {
        let name = format!("{stage:?}, {event:?}");
        assert_eq!(after(stage, event), ("refused", outputs), "{name}");
    }
}

#[test]
fn results_for_other_files_or_another_configuration_are_discarded() {
    let outcomes = || {
        let proven = Outcome::Proven { admitted: admitted(), breaks_callers: None };
        [
            ("hashing", Outcome::Hashed(Digest::of(b"one"))),
            (
                "copying",
                Outcome::Copied {
                    snapshot: snapshot("one"),
                    is_part_of_loaded: false,
                    verdict: CopyVerdict::Unknown,
                },
            ),
            ("proving", proven),
        ]
    };
    for stage in stages() {
        for (awaited, outcome) in outcomes() {
            let before = stage_of(&in_stage(stage.clone(), moment()));
            let other = VersionEvent::Finished { job: JOB - 1, duration_ms: 1, outcome };
            assert_eq!(after(stage.clone(), other), (before, vec![]), "another job, {before}, {awaited}");
        }
        for (awaited, outcome) in outcomes() {
            let before = stage_of(&in_stage(stage.clone(), moment()));
            let (next, _) = after(stage.clone(), finished(outcome));
            assert_eq!(next != before, before == awaited, "{before}, {awaited}");
        }
    }
}

/// A job that found the copy in place before it was lost would count as done.
#[test]
fn a_lost_copy_is_made_again_whether_it_serves_or_was_just_found() {
    for stage in stages() {
        let before = stage_of(&in_stage(stage.clone(), moment()));
        let next = if matches!(before, "copying" | "loaded") { "new" } else { before };
        assert_eq!(after(stage, VersionEvent::CopyLost), (next, vec![]));
    }
    let at = moment();
    let mut harness = in_stage(Stage::Copying, at);
    harness.on(VersionEvent::CopyLost, at);
    assert!(harness.on(copied(CopyVerdict::Serves), at).is_empty());
    assert_eq!(stage_of(&harness), "new");
}

#[test]
fn each_of_these_events_concerns_one_stage_only() {
    let rolled_back = || VersionEvent::RolledBack(refusal(Reason::RolledBack));
    for stage in stages() {
        let before = stage_of(&in_stage(stage.clone(), moment()));
        let unless = |concerned: &str, next: &'static str| if before == concerned { next } else { before };
        let next = |event| after(stage.clone(), event);
        assert_eq!(next(VersionEvent::Unloaded), (unless("loaded", "new"), vec![]));
        assert_eq!(next(rolled_back()), (unless("loaded", "refused"), vec![]), "it was reported as such");
        let sweep = if before == "proven" { vec!["sweep"] } else { vec![] };
        assert_eq!(next(VersionEvent::NotNeeded), (unless("proven", "new"), sweep));
        let load = if before == "proven" { vec!["load"] } else { vec![] };
        assert_eq!(next(VersionEvent::LoadDue), (unless("proven", "new"), load));
        assert_eq!(next(VersionEvent::RefusalLifted(None)), (unless("refused", "new"), vec![]));
        assert_eq!(next(VersionEvent::RefusalLifted(Some(Reason::RolledBack))), (before, vec![]));
        assert_eq!(next(VersionEvent::Reconfigured), ("new", vec![]));
    }
    let lifted = VersionEvent::RefusalLifted(Some(Reason::RolledBack));
    assert_eq!(after(refused(Reason::RolledBack), lifted), ("new", vec![]));
}

#[test]
fn files_that_changed_meanwhile_are_found_new() {
    let at = moment();
    for stage in [Stage::Hashing, Stage::Copying] {
        let mut harness = in_stage(stage, at);
        assert!(harness.on(finished(Outcome::Changed), later(at, 1)).is_empty());
        assert_eq!((stage_of(&harness), harness.seen_since), ("new", later(at, 1).now));
        harness.on(VersionEvent::Found(candidate()), later(at, 2));
        assert_eq!(harness.seen_since, later(at, 2).now, "no file has the fingerprint of what changed");
    }
}

#[test]
fn a_file_settles_before_it_is_tried() {
    let at = moment();
    let mut harness = in_stage(Stage::New, at);
    assert_eq!(harness.candidate_state(at), CandidateState::Unsettled);
    let long_ago = Moment { wall: SystemTime::now() + Duration::from_hours(1), ..at };
    assert_eq!(harness.candidate_state(long_ago), CandidateState::Untried, "its change time is proof enough");
    assert!(harness.on(VersionEvent::Scanned, long_ago).is_empty());
    harness.stage = Stage::Hashed(Digest::of(b"one"));
    assert_eq!(harness.candidate_state(at), CandidateState::Unsettled);
    assert_eq!(harness.candidate_state(later(at, 1)), CandidateState::Untried);
}

#[test]
fn files_that_cannot_be_tried_are_refused_after_their_time() {
    let cases = [
        (Defect::Incomplete("its end is missing".to_owned()), 59, 60),
        (Defect::Unusable(refusal(Reason::NotOnnx)), 0, 1),
    ];
    for (defect, before, due) in cases {
        let at = moment();
        let mut harness = VersionHarness::new(defective(defect), at.now);
        assert!(harness.on(VersionEvent::Scanned, later(at, before)).is_empty());
        assert_eq!(stage_of(&harness), "new");
        assert_eq!(named(&harness.on(VersionEvent::Scanned, later(at, due))), REFUSED);
        assert_eq!(stage_of(&harness), "refused");
    }
}

#[test]
fn a_passing_refusal_is_retried_ever_more_rarely_and_reported_once() {
    let cases =
        [(Reason::InsufficientMemory, [5, 10, 20, 40]), (Reason::StorageUnavailable, [5, 10, 10, 10])];
    for (reason, pauses) in cases {
        let mut at = moment();
        let mut harness = in_stage(Stage::New, at);
        for (number, pause) in pauses.into_iter().enumerate() {
            let refused = VersionEvent::Refused { digest: None, refusal: refusal(reason) };
            let outputs = named(&harness.on(refused, at));
            assert_eq!(outputs.contains(&"report refusal"), number == 0, "{reason:?}, {number}");
            harness.on(VersionEvent::Found(candidate()), later(at, pause - 1));
            assert_eq!(stage_of(&harness), "refused", "{reason:?}, {number}");
            at = later(at, pause);
            harness.on(VersionEvent::Found(candidate()), at);
            assert_eq!(stage_of(&harness), "new", "{reason:?}, {number}");
        }
    }
    let at = moment();
    let mut harness = in_stage(refused(Reason::RunFailed), at);
    harness.on(VersionEvent::Found(candidate()), later(at, 10_000));
    assert_eq!(stage_of(&harness), "refused", "the same bytes fail again");
}

#[test]
fn a_version_in_service_survives_its_file_and_its_return() {
    let at = moment();
    let mut harness = in_stage(Stage::Loaded, at);
    harness.on(VersionEvent::Missed, at);
    harness.on(VersionEvent::Missed, later(at, 5));
    assert_eq!(harness.gone_since(), Some(at.now), "it is gone since the first scan that missed it");
    assert_eq!(harness.candidate_state(at), CandidateState::Loaded);
    assert_eq!(named(&harness.on(VersionEvent::Kept, at)), ["report kept"]);
    assert!(harness.on(VersionEvent::Kept, at).is_empty(), "it is reported once");
    harness.on(VersionEvent::CopyLost, at);
    assert_eq!(stage_of(&harness), "loaded", "there is nothing to copy");
    harness.on(VersionEvent::Found(candidate()), at);
    assert_eq!((harness.gone_since(), stage_of(&harness)), (None, "loaded"));
    assert_eq!(named(&harness.on(VersionEvent::Kept, at)), ["report kept"], "it was gone twice");
}

#[test]
fn files_that_no_scan_has_seen_are_neither_hashed_nor_copied() {
    let at = moment();
    for stage in stages() {
        let before = stage_of(&in_stage(stage.clone(), at));
        for event in [VersionEvent::Scanned, VersionEvent::ProofDue] {
            let name = format!("{before}, {event:?}");
            let mut harness = VersionHarness::of(RepositoryFiles::Unseen, stage.clone(), at.now);
            assert!(harness.on(event, later(at, 3600)).is_empty(), "{name}");
            assert_eq!(stage_of(&harness), before, "{name}");
        }
    }
}

#[test]
fn a_restored_version_serves_and_other_files_start_over() {
    let at = moment();
    let restored = || VersionHarness::restored(at.now);
    assert_eq!(restored().candidate_state(at), CandidateState::Loaded);

    let mut recognized = restored();
    recognized.on(VersionEvent::Recognized(candidate()), at);
    recognized.on(VersionEvent::Found(candidate()), at);
    assert_eq!(stage_of(&recognized), "loaded", "the scan found the files of its copy");

    let mut other = restored();
    other.on(VersionEvent::Found(candidate()), at);
    assert_eq!((stage_of(&other), other.is_first()), ("new", true), "any file is examined");

    let mut gone = restored();
    gone.on(VersionEvent::Missed, at);
    assert_eq!((gone.gone_since(), stage_of(&gone)), (Some(at.now), "loaded"), "none counts as removed");

    let mut lost = restored();
    lost.on(VersionEvent::CopyLost, at);
    assert_eq!(lost.candidate_state(later(at, 3600)), CandidateState::Unsettled, "a scan comes first");
}

#[test]
fn other_files_of_a_version_start_over_and_wait_to_be_complete() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |names: [&str; 2]| {
        let files = names.map(|name| manifest.join(name));
        Candidate {
            fingerprint: Fingerprint::of(files.iter().map(std::path::PathBuf::as_path)),
            ..candidate()
        }
    };
    let (both, half) = (of(["Cargo.toml", "Cargo.lock"]), of(["Cargo.toml", "README.md"]));
    let at = moment();
    let loaded = || VersionHarness { stage: Stage::Loaded, ..VersionHarness::new(both.clone(), at.now) };
    let mut harness = loaded();
    harness.on(VersionEvent::Found(candidate()), at);
    assert_eq!((stage_of(&harness), harness.is_half_replaced), ("new", false));
    let mut harness = loaded();
    harness.on(VersionEvent::Found(half), at);
    harness.stage = Stage::Hashed(Digest::of(b"one"));
    assert_eq!(harness.candidate_state(later(at, 59)), CandidateState::Unsettled, "the rest may come");
    assert_eq!(harness.candidate_state(later(at, 60)), CandidateState::Untried);
}

#[test]
fn a_copy_of_which_a_part_serves_waits_for_the_rest_after_a_restart() {
    let part = || Outcome::Copied {
        snapshot: snapshot("one"),
        is_part_of_loaded: true,
        verdict: CopyVerdict::Unknown,
    };
    assert_eq!(after(Stage::Copying, finished(part())), ("new", vec!["sweep"]));
    let at = moment();
    let mut harness = in_stage(Stage::Copying, at);
    harness.on(finished(part()), later(at, 60));
    assert_eq!(stage_of(&harness), "proving", "the rest did not come");
}

#[test]
fn durations_of_the_way_into_service_are_kept() {
    let at = moment();
    let mut harness = in_stage(Stage::Copying, at);
    let finish = |harness: &mut VersionHarness, duration_ms, outcome| {
        harness.on(VersionEvent::Finished { job: harness.job, duration_ms, outcome }, at)
    };
    let copied = Outcome::Copied {
        snapshot: snapshot("one"),
        is_part_of_loaded: false,
        verdict: CopyVerdict::Unknown,
    };
    finish(&mut harness, 1, copied);
    harness.on(VersionEvent::Queued(JOB + 1), at);
    finish(&mut harness, 2, Outcome::Proven { admitted: admitted(), breaks_callers: None });
    harness.on(VersionEvent::LoadDue, at);
    harness.on(VersionEvent::Loaded { load_ms: 3 }, at);
    assert_eq!(harness.timings(), Timings { copy_ms: 1, proof_ms: 2, load_ms: 3 });
}
