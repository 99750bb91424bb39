//! Jobs for candidates of a source that is not a folder.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::mpsc::{self, Receiver},
};

use super::*;
use crate::{config::Settings, lifecycle::source::memory::MemorySource};

const MODEL: &str = "ext/1/model.onnx";
const WEIGHTS: &str = "ext/1/weights.bin";

/// Workers with a source, of which each job is awaited.
struct Bench {
    source: Arc<MemorySource>,
    store: Arc<Store>,
    workers: Workers,
    messages: Receiver<Message>,
    candidate: Candidate,
    /// Keeps the program that proves.
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Starts with a model and its weights. The proof of each copy finds `report`.
    fn new(report: &Value) -> Self {
        let source = MemorySource::of(&[(MODEL, &file("model.onnx")), (WEIGHTS, &file("weights.bin"))]);
        let folder = tempfile::tempdir().unwrap();
        let prover = prover(folder.path().join("prover"), report);
        let (store, (sender, messages)) = (Arc::new(Store::temporary().unwrap()), mpsc::channel());
        let workers = Workers::new(Arc::clone(&source) as _, Arc::clone(&store), prover, sender);
        Self { candidate: source.candidate(), source, store, workers, messages, _folder: folder }
    }

    /// Gives a job and waits for its result.
    fn result_of(&mut self, work: Work) -> WorkResult {
        let Candidate { model, version, .. } = self.candidate.clone();
        let number = self.workers.give(model, version, work);
        match self.messages.recv().unwrap() {
            Message::Done(done) => {
                assert_eq!((&done.model, done.number), (&self.candidate.model, number));
                done.result
            }
            _ => panic!("the worker sent another message"),
        }
    }

    fn hashed(&mut self) -> Result<Option<Digest>, Refusal> {
        match self.result_of(Work::Hash(self.candidate.clone())) {
            WorkResult::Hashed(hashed) => hashed,
            _ => panic!("the worker did another job"),
        }
    }

    fn copied(&mut self, hash: Option<Digest>) -> Result<Option<Arc<Snapshot>>, Refusal> {
        let candidate = self.candidate.clone();
        match self.result_of(Work::Copy { candidate, contract: None, pin: Pin::default(), hash }) {
            WorkResult::Copied(copied) => copied,
            _ => panic!("the worker did another job"),
        }
    }

    fn proven(&mut self, snapshot: Arc<Snapshot>) -> Result<Box<Proof>, Refusal> {
        match self.result_of(Work::Prove(snapshot)) {
            WorkResult::Proven(_, proven) => proven,
            _ => panic!("the worker did another job"),
        }
    }
}

fn file(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/models/external/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A prover whose child reports this of each copy whose file it can read.
fn prover(program: std::path::PathBuf, report: &Value) -> Prover {
    let script = format!(
        "#!/bin/sh\nread -r job\nfile=${{job#*\\\"file\\\":\\\"}}\n[ -s \"${{file%%\\\"*}}\" ] && echo '{report}'\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let Settings { admission, .. } = Settings::default();
    Prover { program, library: "/nowhere".into(), settings: admission, memory_limit_bytes: 0 }
}

fn proof() -> Value {
    serde_json::json!({ "proven": Proof::of_nothing() })
}

#[test]
fn a_candidate_is_hashed_copied_and_proven_wherever_its_files_lie() {
    let mut bench = Bench::new(&proof());
    let hash = bench.hashed().unwrap();
    assert_eq!(hash, Some(Digest::of(&file("model.onnx"))));
    let snapshot = bench.copied(hash).unwrap().unwrap();
    let folder = snapshot.file().parent().unwrap().to_path_buf();
    for name in ["model.onnx", "weights.bin"] {
        assert_eq!(fs::read(folder.join(name)).unwrap(), file(name));
    }
    assert!(snapshot.is_of(CandidateFiles::new(&*bench.source, &bench.candidate)));
    // The copy alone is proven.
    bench.source.remove(MODEL);
    bench.source.remove(WEIGHTS);
    let proof = bench.proven(Arc::clone(&snapshot)).unwrap();
    assert!(proof.signature.inputs.is_empty() && snapshot.verify().is_ok());
    assert!(!snapshot.is_of(CandidateFiles::new(&*bench.source, &bench.candidate)));
}

#[test]
fn files_that_changed_since_the_scan_are_neither_hashed_nor_copied() {
    let mut bench = Bench::new(&proof());
    bench.source.put(WEIGHTS, &file("weights.bin"));
    assert_eq!(bench.hashed(), Ok(None), "another file of the same content");
    assert!(bench.copied(None).unwrap().is_none());
    bench.candidate = bench.source.candidate();
    assert!(bench.hashed().unwrap().is_some() && bench.copied(None).unwrap().is_some());
    bench.source.remove(WEIGHTS);
    assert_eq!(bench.hashed(), Ok(None));
}

#[test]
fn files_that_change_while_they_are_copied_are_not_used() {
    let mut bench = Bench::new(&proof());
    bench.source.put_after_open(WEIGHTS, &[0; 4]);
    assert!(bench.copied(None).unwrap().is_none());
    // The copy of both halves stays in no one's hands.
    assert!(bench.store.sweep(&std::collections::HashSet::new()));
    let other = Digest::of(b"another file");
    bench.candidate = bench.source.candidate();
    assert!(bench.copied(Some(other)).unwrap().is_none(), "the content is not what was hashed");
}

#[test]
fn a_source_that_does_not_open_a_file_refuses_the_candidate() {
    let mut bench = Bench::new(&proof());
    bench.candidate.external = vec!["../../secret".to_owned()];
    bench.candidate.fingerprint = bench.source.fingerprint(&bench.candidate.files, &bench.candidate.external);
    assert_eq!(bench.copied(None).unwrap_err().reason, Reason::OutsideFolder);
    bench.candidate.external = vec!["gone.bin".to_owned()];
    bench.candidate.fingerprint = bench.source.fingerprint(&bench.candidate.files, &bench.candidate.external);
    assert_eq!(bench.copied(None).unwrap_err().reason, Reason::Unreadable);
}

#[test]
fn a_refusal_of_the_proof_is_passed_on() {
    let refused = serde_json::json!({ "refused": Refusal::new(Reason::RunFailed, "as in a test") });
    let mut bench = Bench::new(&refused);
    let snapshot = bench.copied(None).unwrap().unwrap();
    assert_eq!(bench.proven(snapshot).unwrap_err().reason, Reason::RunFailed);
}
