//! Commands that read a repository in a store.

use std::process::Output;

use super::{file, store_of_iris};
use crate::support::{
    binary::{run, text},
    repository::test_model,
    store::{Behavior, TestStore},
    tokens::SECRET,
};

/// Runs a command of a gateway whose repository is a store, beside the threads that serve the store.
async fn command(store: &TestStore, arguments: &[&str]) -> Output {
    let folder = store.folder();
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let run = move || {
        let directory = tempfile::tempdir().unwrap();
        let settings = [
            ("GATEWAY__MODELS__REPOSITORY", folder.as_str()),
            ("GATEWAY__MODELS__STORE__TIMEOUT_MS", "300"),
            ("GATEWAY__AUTH__SIGNING_SECRET", SECRET),
        ];
        let output = run(&arguments, directory.path(), &settings);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "a check leaves nothing");
        output
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_check_proves_the_models_of_a_store() {
    let store = store_of_iris().await;
    let output = command(&store, &["check"]).await;
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("iris version 1"), "{said}{}", text(&output.stderr));
    store.put("iris/2/model.onnx", &test_model("nan_weights"));
    let output = command(&store, &["check"]).await;
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("NaN"), "{said}");
}

#[tokio::test]
async fn a_check_says_why_a_store_cannot_be_read() {
    let store = store_of_iris().await;
    for (behavior, reason) in
        [(Behavior::Status(403), "the store refuses access"), (Behavior::Silent, "the store is too slow")]
    {
        store.behave(behavior);
        let output = command(&store, &["check"]).await;
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{behavior:?}: {said}");
        assert!(said.contains(&store.folder()), "{said}");
    }
}

#[tokio::test]
async fn a_single_model_of_a_store_is_verified_and_inspected_with_what_belongs_to_it() {
    let store = store_of_iris().await;
    store.put(
        "iris/model.toml",
        b"[pin]\nsha256 = [\"0000000000000000000000000000000000000000000000000000000000000000\"]\n",
    );
    store.put("wide/1/model.onnx", &file("external/model.onnx"));
    store.put("wide/1/weights.bin", &file("external/weights.bin"));
    store.put("wide/2/model.onnx", &test_model("nan_weights"));
    let url = |name: &str| format!("{}/{name}", store.folder());
    let output = command(&store, &["verify", &url("wide/1/model.onnx")]).await;
    let said = text(&output.stdout);
    assert!(
        output.status.success() && said.contains("wide/1/model.onnx would serve"),
        "{said}{}",
        text(&output.stderr)
    );
    assert!(
        store.requests().iter().all(|request| request != "wide/2/model.onnx"),
        "it does not belong to it"
    );
    let output = command(&store, &["inspect", &url("wide/1/model.onnx")]).await;
    assert!(output.status.success() && text(&output.stdout).contains("weights.bin"));
    let output = command(&store, &["verify", &url("iris/1/model.onnx")]).await;
    assert!(!output.status.success() && text(&output.stderr).contains("refused"), "{output:?}");
    let output = command(&store, &["verify", &url("iris/9/model.onnx")]).await;
    assert!(!output.status.success() && text(&output.stderr).contains("no such"), "{output:?}");
}
