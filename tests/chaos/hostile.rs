//! Models that do harm, in the place of one that serves.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    load::Load,
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    processes::{children, memory, signal},
    row::{Row, sized},
    server::{IRIS, Server, until},
    swaps::plan,
};
use onnx_gateway::model::Digest;

/// The server's memory may have grown by this much when all of them were tried.
const MOST_GROWTH_BYTES: u64 = 64 << 20;

/// Only there does the division trap that this model is made of.
const CRASHES: &str = if cfg!(target_arch = "x86_64") { "crashed" } else { "incompatible_signature" };

/// Each with why it is refused.
const HOSTILE: [(&str, &[&str]); 9] = [
    ("endless", &["timed_out"]),
    ("endless_load", &["timed_out", "memory_limit"]),
    ("wants_a_tebibyte", &["memory_limit"]),
    ("folding_bomb", &["memory_limit"]),
    ("crash_at_load", &[CRASHES]),
    ("iris_nan_weights", &["non_finite_output"]),
    ("iris_renamed_input", &["incompatible_signature"]),
    ("iris_golden_mismatch", &["golden_mismatch"]),
    ("deep_tree", &["incompatible_signature", "crashed"]),
];

/// Why exactly this file was refused, once it is.
async fn refusal_of(server: &Server, content: &[u8]) -> String {
    let digest = Digest::of(content).to_string();
    until("it is refused", async || {
        let history = server.get("/models/iris/history").await.body["history"].take();
        let is_it = |entry: &&Value| entry["event"] == "refused" && entry["digest"] == digest.as_str();
        let entries: Vec<&Value> = history.as_array()?.iter().filter(is_it).collect();
        assert!(entries.len() <= 1, "it is refused once: {entries:?}");
        Some(entries.first()?["reason"].as_str()?.to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_models_are_refused_and_leave_nothing_behind() {
    let expected = Arc::new(Expected::of(&BASES, &bodies()).await);
    let iris = bytes(BASES[0]);
    let good = fresh(&iris, 1);
    expected.announce(&digest(&iris), BASES[0]);
    expected.announce(&digest(&good), BASES[0]);
    // Long enough that a busy machine comes to the memory's limit first where that is the one that is tried.
    let prepared = Server::prepare().with_iris().setting("ADMISSION__TIMEOUT_SECONDS", 10);
    let server = prepared.start().await;
    let load = Load::start(&server, plan(&expected, 4));
    // What a swap takes is not what harm takes.
    server.put(IRIS, &good);
    load.until_answered_by(&digest(&good)).await;
    load.until_answers(sized(100, 5_000)).await;
    let before_bytes = memory(server.id(), "VmHWM:");
    let mut reasons = serde_json::Map::new();

    for (number, (name, allowed)) in HOSTILE.into_iter().enumerate() {
        let content = bytes(name);
        server.put(IRIS, &content);
        let reason = refusal_of(&server, &content).await;
        assert!(allowed.contains(&reason.as_str()), "{name}: {reason}");
        reasons.insert(name.to_owned(), reason.into());
        assert_eq!(server.version("iris").await["digest"], digest(&good), "{name}");
        assert_eq!(server.refusals().await, number as u64 + 1, "{name}");
        no_zombies(&server, name);
        load.assert_no_failure(name);
    }

    let segfault = fresh(&bytes("endless"), 2);
    server.put(IRIS, &segfault);
    // Rust's own handler lets the first signal pass that no fault comes with.
    until("the proof is ended by SIGSEGV", async || {
        let proofs: Vec<_> = children(server.id())
            .into_iter()
            .filter(|child| !child.is_zombie && child.command_line.contains(" admit"))
            .collect();
        for proof in &proofs {
            signal(proof.id, "SEGV");
        }
        let history = server.get("/models/iris/history").await.body;
        (history["history"][0]["digest"] == Digest::of(&segfault).to_string().as_str()).then_some(())
    })
    .await;
    assert_eq!(refusal_of(&server, &segfault).await, "crashed");
    reasons.insert("SIGSEGV".to_owned(), "crashed".into());
    no_zombies(&server, "SIGSEGV");

    let growth_bytes = memory(server.id(), "VmHWM:").saturating_sub(before_bytes);
    // As a model of its own it breaks nobody, and may be good enough.
    server.put("deep/1/model.onnx", &bytes("deep_tree"));
    let deep = until("it is decided about", async || {
        let version = server.version("deep").await;
        (version["state"] == "READY" || !version["refusal"].is_null()).then_some(version)
    })
    .await;
    if deep["state"] == "READY" {
        let answer = server.post("/models/deep/predict", &json!({"inputs": {"x": [[1.0]]}})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    reasons.insert("deep_tree alone".to_owned(), deep["state"].clone());
    load.until_answers(50).await;
    until("no child is left", async || children(server.id()).is_empty().then_some(())).await;
    let tally = load.stop().await;
    let mut row = Row::new("hostile models", format!("{} models in place of iris", HOSTILE.len() + 1));
    row.figure("reasons", reasons);
    row.figure("hwm_growth_mib", growth_bytes >> 20);
    row.finish(&tally);
    assert!(growth_bytes <= MOST_GROWTH_BYTES, "its memory grew by {growth_bytes} bytes");
}

fn no_zombies(server: &Server, case: &str) {
    let children = children(server.id());
    assert!(children.iter().all(|child| !child.is_zombie), "{case}: {children:?}");
}
