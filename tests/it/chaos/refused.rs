//! Candidates that may not serve, in the place of one that does: too slow, too large, broken, or ended while they are tried.

use std::sync::Arc;

use onnx_gateway::model::Digest;
use serde_json::Value;

use super::{
    load::Load,
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    row::{Row, sized},
    server::{IRIS, Server, until},
    swaps::plan,
};
use crate::support::processes::{children, memory, signal};

/// The server's memory may have grown by this much when all of them were tried.
const MOST_GROWTH_BYTES: u64 = 64 << 20;

/// Enough for the model that serves, and less than those of 256 MiB take.
const PROOF_BYTES: u64 = 320 << 20;

/// The shipped model with an operator that there is not.
const UNKNOWN_OPERATOR: &str = "unknown operator";

/// Each with the reason for which it is refused.
const REFUSED: [(&str, &str); 8] = [
    ("seconds_to_load", "timed_out"),
    ("seconds_to_run", "timed_out"),
    ("megabytes_to_load", "memory_limit"),
    ("megabytes_to_run", "memory_limit"),
    ("iris_nan_weights", "non_finite_output"),
    ("iris_renamed_input", "incompatible_signature"),
    ("iris_golden_mismatch", "golden_mismatch"),
    (UNKNOWN_OPERATOR, "load_failed"),
];

/// Signals that end a proof, and the reason for which its model is refused then.
const SIGNALS: [(&str, &str); 6] = [
    ("SEGV", "crashed"),
    ("ABRT", "crashed"),
    ("FPE", "crashed"),
    ("BUS", "crashed"),
    ("SYS", "sandbox_violation"),
    ("KILL", "memory_limit"),
];

/// The bytes of one of them.
fn content(name: &str) -> Vec<u8> {
    if name != UNKNOWN_OPERATOR {
        return bytes(name);
    }
    let (operator, other) = (b"TreeEnsembleClassifier", b"TreeEnsembleClassifies");
    let mut iris = bytes(BASES[0]);
    // The node's name may be the same word.
    while let Some(at) = iris.windows(operator.len()).position(|window| window == operator) {
        iris[at..at + other.len()].copy_from_slice(other);
    }
    iris
}

/// The reason for which exactly this file was refused, once it is.
async fn refusal_of(server: &Server, content: &[u8], case: &str) -> String {
    let digest = Digest::of(content).to_string();
    until(&format!("{case} is refused"), async || {
        let history = server.get("/models/iris/history").await.body["history"].take();
        let is_it = |entry: &&Value| entry["event"] == "refused" && entry["digest"] == digest.as_str();
        let entries: Vec<&Value> = history.as_array()?.iter().filter(is_it).collect();
        assert!(entries.len() <= 1, "it is refused once: {entries:?}");
        Some(entries.first()?["reason"].as_str()?.to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_that_cost_too_much_or_crash_leave_nothing_behind() {
    let expected = Arc::new(Expected::of(&BASES, &bodies()).await);
    let iris = bytes(BASES[0]);
    let good = fresh(&iris, 1);
    expected.announce(&digest(&iris), BASES[0]);
    expected.announce(&digest(&good), BASES[0]);
    let prepared = Server::prepare()
        .with_iris()
        .setting("ADMISSION__TIMEOUT_SECONDS", 2)
        .setting("ADMISSION__MAX_MEMORY_BYTES", PROOF_BYTES);
    let server = prepared.start().await;
    let load = Load::start(&server, plan(&expected, 4));
    // What a swap takes is not what a refusal takes.
    server.put(IRIS, &good);
    load.until_answered_by(&digest(&good)).await;
    load.until_answers(sized(100, 5_000)).await;
    let before_bytes = memory(server.id(), "VmHWM:");
    let mut reasons = serde_json::Map::new();

    for (number, (name, expected)) in REFUSED.into_iter().enumerate() {
        let content = content(name);
        server.put(IRIS, &content);
        let reason = refusal_of(&server, &content, name).await;
        assert_eq!(reason, expected, "{name}");
        reasons.insert(name.to_owned(), reason.into());
        still_serves(&server, &load, &good, number as u64 + 1, name).await;
    }
    for (number, (name, expected)) in SIGNALS.into_iter().enumerate() {
        // Some seconds of a proof, within which the signal comes.
        let content = fresh(&bytes("seconds_to_run"), number);
        server.put(IRIS, &content);
        let reason = end_proof(&server, &content, name).await;
        assert_eq!(reason, expected, "{name}");
        reasons.insert(format!("SIG{name}"), reason.into());
        still_serves(&server, &load, &good, (REFUSED.len() + number) as u64 + 1, name).await;
    }

    let growth_bytes = memory(server.id(), "VmHWM:").saturating_sub(before_bytes);
    load.until_answers(50).await;
    until("no child is left", async || children(server.id()).is_empty().then_some(())).await;
    let tally = load.stop().await;
    let done = format!("{} files in place of iris, {} proofs ended", REFUSED.len(), SIGNALS.len());
    let mut row = Row::new("refused", done);
    row.figure("reasons", reasons);
    row.figure("hwm_growth_mib", growth_bytes >> 20);
    row.finish(&tally);
    assert!(growth_bytes <= MOST_GROWTH_BYTES, "its memory grew by {growth_bytes} bytes");
}

/// Ends the proof of this file by a signal, and answers the reason for which it is refused.
async fn end_proof(server: &Server, content: &[u8], name: &str) -> String {
    let digest = Digest::of(content).to_string();
    // Rust's own handler lets the first signal pass that no fault comes with.
    until("the proof is ended", async || {
        for proof in children(server.id()).iter().filter(|child| child.is_proof()) {
            signal(proof.id, name);
        }
        let history = server.get("/models/iris/history").await.body;
        (history["history"][0]["digest"] == digest.as_str()).then_some(())
    })
    .await;
    refusal_of(server, content, name).await
}

/// Sees that the good file answers every request, whatever was tried in its place.
async fn still_serves(server: &Server, load: &Load, good: &[u8], refusals: u64, case: &str) {
    load.until_answers(20).await;
    assert_eq!(server.version("iris").await["digest"], digest(good), "{case}");
    assert_eq!(server.refusals().await, refusals, "{case}");
    let children = children(server.id());
    assert!(children.iter().all(|child| !child.is_zombie), "{case}: {children:?}");
    load.assert_no_failure(case);
}
