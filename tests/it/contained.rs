//! Failures of a library while it loads or runs a model, as failpoints of a test build cause them: each is contained.
#![cfg(debug_assertions)]

use std::sync::Arc;

use onnx_gateway::model::WantedMode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    Answer, TestGateway,
    binary::{Process, command, free_port, run, text},
    repository::{Repository, source_tree},
    tokens::{SECRET, TokenBuilder},
};

#[tokio::test]
async fn a_panic_is_an_error_of_its_request_and_the_session_serves_on() {
    for scheduler in [WantedMode::RequestThread, WantedMode::OwnThreads] {
        let builder = TestGateway::builder_without_models().model("line.onnx", "panics_at_13");
        let builder = builder.settings(|settings| {
            settings.runtime.scheduler = scheduler;
            settings.runtime.instances = 1;
        });
        let gateway = builder.start().await;
        for _ in 0..3 {
            let answer = gateway.predict(&json!({"features": [13, 1]})).await;
            assert_eq!((answer.status.as_u16(), answer.problem_code()), (500, "model_failed"), "{answer:?}");
            assert!(!answer.body.to_string().contains("failpoint"), "the cause is in the log: {answer:?}");
            let answer = gateway.predict(&json!({"features": [1, 1]})).await;
            assert_eq!(answer.body["prediction"], 5.0, "{scheduler:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_panic_in_one_run_leaves_those_beside_it() {
    let builder = TestGateway::builder_without_models().model("line.onnx", "panics_at_13");
    let builder = builder.settings(|settings| {
        settings.runtime.scheduler = WantedMode::OwnThreads;
        settings.runtime.instances = 4;
        settings.runtime.max_batch_rows = 1;
    });
    let gateway = Arc::new(builder.start().await);
    let mut all = JoinSet::new();
    for number in 0..64_u32 {
        let gateway = Arc::clone(&gateway);
        let first = if number % 4 == 0 { 13 } else { number + 20 };
        all.spawn(async move { (first, gateway.predict(&json!({"features": [first, 1]})).await) });
    }
    for (first, answer) in all.join_all().await {
        if first == 13 {
            assert_eq!((answer.status.as_u16(), answer.problem_code()), (500, "model_failed"), "{answer:?}");
        } else {
            assert_eq!(answer.body["prediction"], f64::from(2 * first + 3), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_candidate_whose_runs_panic_is_refused() {
    let gateway = TestGateway::builder().model("line.onnx", "panics").start().await;
    let refusal = gateway.version("line").await["refusal"].clone();
    assert_eq!(refusal["reason"], "run_failed", "{refusal}");
    assert!(refusal["detail"].as_str().unwrap().contains("the run panicked: a failpoint"), "{refusal}");
    assert_eq!(gateway.version("iris").await["state"], "READY");
}

#[test]
fn a_panic_leaves_one_line_and_no_trace() {
    let model = source_tree().join("tests/models/panics.onnx");
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["predict", model.to_str().unwrap(), "--input", r#"{"features":[1,1]}"#];
    let output = run(&arguments, folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = text(&output.stderr);
    assert!(lines.contains("panics.onnx: the run panicked: a failpoint"), "{lines}");
    assert_eq!(lines.lines().count(), 1, "{lines}");
}

/// What takes more stack than a thread usually has is proven in a process that has it, so the threads that serve need it.
#[tokio::test]
async fn what_has_enough_stack_in_the_proof_has_enough_where_it_serves() {
    for scheduler in ["request_thread", "own_threads"] {
        let repository = Repository::new();
        repository.put_test_model("deep/1/model.onnx", "deep_calls");
        let port = free_port();
        let mut command = command();
        command
            .current_dir(repository.path())
            .env("GATEWAY__SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
            .env("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0")
            .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
            .env("GATEWAY__MODELS__REPOSITORY", repository.path())
            .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state())
            .env("GATEWAY__RUNTIME__SCHEDULER", scheduler);
        let _gateway = Process::serve(command);
        let client = reqwest::Client::new();
        // The second is so long that it is answered elsewhere.
        for rows in [1, 20_000] {
            let body = json!({"instances": vec![[1, 1]; rows]});
            let request = client.post(format!("http://127.0.0.1:{port}/predict")).json(&body);
            let answer =
                Answer::of(request.bearer_auth(TokenBuilder::new().build()).send().await.unwrap()).await;
            assert_eq!(answer.body["predictions"][rows - 1]["prediction"], 5.0, "{scheduler}, {rows} rows");
        }
    }
}
