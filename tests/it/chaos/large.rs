//! A model that takes long to copy, prove and load, beside one that must not notice.

use std::{fs, path::Path, process::Command, sync::Arc};

use serde_json::json;

use super::{
    load::Load,
    models::{Expected, bodies, bytes, digest},
    row::{Row, sized},
    server::{Server, until},
    swaps::{compare, plan},
};
use crate::support::repository::source_tree;

/// Writes the large model with other weights for each seed.
fn make(python: &Path, megabytes: usize, seed: usize, output: &Path) {
    let status = Command::new(python)
        .arg(source_tree().join("tools/models/make_large_model.py"))
        .args(["--megabytes", &megabytes.to_string(), "--seed", &seed.to_string(), "--output"])
        .arg(output)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_model_is_swapped_beside_a_small_one() {
    let megabytes = sized(4, 500);
    let mut row =
        Row::new("large", format!("a model of {megabytes} MB swapped twice beside iris, 4 connections"));
    let python = source_tree().join(".venv/bin/python");
    if !python.exists() {
        return row.leave_out("tools/setup --train makes the environment that writes the model");
    }
    let expected = Arc::new(Expected::of(&["iris"], &bodies()).await);
    expected.announce(&digest(&bytes("iris")), "iris");
    let prepared = Server::prepare().with_iris().setting("ADMISSION__TIMEOUT_SECONDS", 60);
    let folder = prepared.folder.path().to_owned();
    let (one, first) = (folder.join("models/big/1/model.onnx"), "models/big/1/model.onnx");
    let others = [folder.join("1.onnx"), folder.join("2.onnx")];
    fs::create_dir_all(one.parent().unwrap()).unwrap();
    make(&python, megabytes, 0, &folder.join(first));
    make(&python, megabytes, 1, &others[0]);
    make(&python, megabytes, 2, &others[1]);
    let server = prepared.start().await;
    let answer_of_big = async || {
        let row = vec![0.5; 256];
        let answer = server.post("/models/big/predict", &json!({"inputs": {"x": [row]}})).await;
        (answer.status == 200).then(|| answer.body["outputs"].clone())
    };
    let mut answer = until("it serves", &answer_of_big).await;

    let load = Load::start(&server, plan(&expected, 4));
    load.until_answers(sized(200, 20_000)).await;
    for other in &others {
        let swaps = server.swaps().await;
        load.phase(1);
        fs::rename(other, &one).unwrap();
        until("it is swapped", async || (server.swaps().await > swaps).then_some(())).await;
        load.phase(2);
        let next = until("it serves", &answer_of_big).await;
        assert_ne!(next, answer, "it has other weights");
        answer = next;
        load.assert_no_failure("a large swap");
    }
    assert_eq!(server.refusals().await, 0);
    let tally = load.stop().await;
    compare(&mut row, &tally);
    row.finish(&tally);
}
