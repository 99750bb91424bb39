//! A retrained file is a deployment; a broken one is not.

use std::fs;

use onnx_gateway::model::Digest;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    Answer, TestGateway, pause,
    repository::{iris, test_model},
    setosa, table,
};

fn digest(name: &str) -> String {
    Digest::of(&test_model(name)).short()
}

/// How many candidates were refused, by the metrics.
fn refusals(metrics: &str) -> usize {
    let counts = metrics.lines().filter(|line| line.starts_with("gateway_model_refusals_total{"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// The model as it is when its last part, the metadata with the contract, has not been written yet: still a valid one.
fn without_metadata(whole: &[u8]) -> Vec<u8> {
    let key = b"onnx_gateway.contract";
    let position = whole.windows(key.len()).rposition(|window| window == key).unwrap();
    // Before the key stand its tag and length, and those of the entry, whose length takes two bytes.
    let cut = whole[..position - 2].iter().rposition(|byte| *byte == 0x72).unwrap();
    whole[..cut].to_vec()
}

fn serves(digest: &str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.header("x-model-digest") == digest
}

#[tokio::test]
async fn a_file_put_over_the_old_one_serves_without_one_failed_request() {
    let gateway = TestGateway::start().await;
    let before = Digest::of(&iris()).short();
    assert!(serves(&before)(&gateway.predict(&setosa()).await));
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    let answer = gateway.predict_until(serves(&digest("iris_retrained"))).await;
    assert_eq!(answer.header("x-model-version"), "1");
    gateway.repository.put_iris("iris/1/model.onnx");
    gateway.predict_until(serves(&before)).await;
}

#[tokio::test]
async fn a_file_written_in_place_serves_too() {
    let gateway = TestGateway::start().await;
    fs::write(gateway.repository.path().join("iris/1/model.onnx"), test_model("iris_retrained")).unwrap();
    gateway.predict_until(serves(&digest("iris_retrained"))).await;
}

#[tokio::test]
async fn a_new_version_serves_and_its_removal_brings_back_the_old_one() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("iris/2/model.onnx", "iris_retrained");
    let answer = gateway.predict_until(|answer| answer.header("x-model-version") == "2").await;
    assert_eq!(answer.header("x-model-digest"), digest("iris_retrained"));
    gateway.repository.remove("iris/2");
    let answer = gateway.predict_until(|answer| answer.header("x-model-version") == "1").await;
    assert_eq!(answer.header("x-model-digest"), Digest::of(&iris()).short());
}

#[tokio::test]
async fn a_broken_file_is_refused_with_its_reason_and_the_old_one_serves_on() {
    let gateway = TestGateway::start().await;
    let before = Digest::of(&iris()).short();
    let whole = iris();
    let broken = [
        (whole[..whole.len() / 2].to_vec(), "truncated"),
        (Vec::new(), "truncated"),
        (b"<html>404</html>".to_vec(), "not_onnx"),
        (test_model("iris_golden_mismatch"), "golden_mismatch"),
        (test_model("iris_renamed_input"), "incompatible_signature"),
        (test_model("regressor"), "incompatible_signature"),
        (test_model("two_inputs"), "incompatible_signature"),
        (test_model("kinds/sequence_input"), "unsupported"),
        (without_metadata(&whole), "incompatible_signature"),
    ];
    for (refused, (content, reason)) in broken.iter().enumerate() {
        gateway.repository.put("iris/1/model.onnx", content);
        gateway.metrics_until(|metrics| refusals(metrics) == refused + 1).await;
        let version = gateway.version_until("iris", |version| version["refusal"]["reason"] == *reason).await;
        assert_eq!(version["state"], "READY", "{reason}");
        assert_eq!(version["digest"], json!(before), "{reason}");
        let detail = version["refusal"]["detail"].as_str().unwrap();
        assert!(!detail.contains("/tmp") && !detail.contains("model.onnx"), "no path: {version}");
        assert!(serves(&before)(&gateway.predict(&setosa()).await), "{reason}");
    }
    // Each refusal has a digest, which is null for files that were never hashed.
    for entry in gateway.history("iris").await.iter().filter(|entry| entry["event"] == "refused") {
        let digest = entry.as_object().unwrap().get("digest").expect("it is there");
        assert_eq!(
            digest.is_null(),
            matches!(entry["reason"].as_str(), Some("truncated" | "not_onnx")),
            "{entry}"
        );
    }
    let text = gateway.metrics().await;
    for line in [
        r#"gateway_model_refusals_total{model="iris",reason="truncated"} 2"#,
        r#"gateway_model_refusals_total{model="iris",reason="incompatible_signature"} 4"#,
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }

    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.predict_until(serves(&digest("iris_retrained"))).await;
    assert!(
        gateway.version_until("iris", |version| version["refusal"].is_null()).await["digest"].is_string()
    );
}

#[tokio::test]
async fn a_broken_version_does_not_take_the_place_of_a_good_one() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("iris/2/model.onnx", "nan_weights");
    let refused = |answer: &Answer| answer.body["versions"][1]["refusal"]["reason"] == "non_finite_output";
    let waiting = async {
        loop {
            let answer = Answer::of(gateway.get("/models/iris").send().await.unwrap()).await;
            if refused(&answer) {
                return answer;
            }
            pause().await;
        }
    };
    let answer = tokio::time::timeout(crate::support::PATIENCE, waiting).await.expect("it is refused");
    assert_eq!(answer.body["versions"][1]["state"], "UNAVAILABLE");
    assert_eq!(gateway.predict(&setosa()).await.header("x-model-version"), "1");
    assert_eq!(
        gateway.predict_at("/models/iris/versions/2/predict", &setosa()).await.problem_code(),
        "version_not_found"
    );
}

#[tokio::test]
async fn a_model_that_never_worked_is_unavailable_and_others_are_not() {
    let gateway = TestGateway::builder().model("broken.onnx", "nan_weights").start().await;
    let answer = gateway.predict_at("/models/broken/predict", &json!({"features": [1, 2]})).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (503, "model_unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(gateway.version("broken").await["refusal"]["reason"], "non_finite_output");
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn models_come_and_go_at_run_time() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("line.onnx", "regressor");
    gateway.version_until("line", |version| version["state"] == "READY").await;
    let answer = gateway.predict_at("/models/line/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(answer.body["prediction"], 5.0);
    gateway.repository.remove("line.onnx");
    gateway.version_until("line", serde_json::Value::is_null).await;
    let answer = gateway.predict_at("/models/line/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(answer.problem_code(), "model_not_found");
}

#[tokio::test]
async fn the_served_bytes_are_not_the_users_file() {
    let gateway = TestGateway::builder().settings(|s| s.models.poll_interval_ms = 3_600_000).start().await;
    let file = gateway.repository.path().join("iris/1/model.onnx");
    let before = gateway.predict(&setosa()).await;
    // What nobody should do to a file in use: the gateway does not look at it until the next interval.
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100).unwrap();
    let after = gateway.predict(&setosa()).await;
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("x-model-digest"), before.header("x-model-digest"));
}

#[tokio::test]
async fn swaps_are_counted_and_the_version_in_service_is_shown() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.predict_until(serves(&digest("iris_retrained"))).await;
    gateway.version_until("iris", |version| version["digest"] == json!(digest("iris_retrained"))).await;
    let text = gateway.metrics().await;
    let expected = [
        r#"gateway_model_swaps_total{model="iris"} 2"#.to_owned(),
        format!(r#"gateway_model_info{{digest="{}",model="iris",version="1"}} 1"#, digest("iris_retrained")),
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert_eq!(text.matches("gateway_model_info{").count(), 1, "the version before is gone");
}

#[tokio::test]
async fn what_is_no_file_is_refused_and_stops_nothing() {
    let gateway = TestGateway::start().await;
    let root = gateway.repository.path();
    for (folder, target) in [("device", "/dev/null"), ("text", "/etc/hostname")] {
        fs::create_dir_all(root.join(folder).join("1")).unwrap();
        std::os::unix::fs::symlink(target, root.join(folder).join("1/model.onnx")).unwrap();
    }
    fs::create_dir_all(root.join("pipe/1")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(root.join("pipe/1/model.onnx")).status().unwrap();
    assert!(made.success());
    fs::create_dir_all(root.join("folder/1/model.onnx")).unwrap();
    gateway.repository.put_test_model("line.onnx", "regressor");
    gateway.version_until("line", |version| version["state"] == "READY").await;
    let cases = [
        ("device", "unreadable"),
        ("text", "outside_folder"),
        ("pipe", "unreadable"),
        ("folder", "unreadable"),
    ];
    table::each_async(cases, async |(model, reason)| {
        let version = gateway.version_until(model, |version| version["refusal"]["reason"] == reason).await;
        assert_eq!(version["state"], "UNAVAILABLE", "{model}");
        let answer = gateway.predict_at(&format!("/models/{model}/predict"), &setosa()).await;
        assert_eq!(answer.problem_code(), "model_unavailable", "{model}");
    })
    .await;
}

#[tokio::test]
async fn a_candidate_that_takes_too_long_is_refused_and_the_others_serve() {
    // Of time on a CPU, which it gets little of beside other tests.
    let builder = TestGateway::builder().settings(|settings| settings.admission.timeout_seconds = 1);
    let gateway = builder.start().await;
    for model in ["seconds_to_load", "seconds_to_run"] {
        gateway.repository.put_test_model(&format!("{model}/1/model.onnx"), model);
        gateway.version_until(model, |version| version["state"] == "LOADING").await;
        assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK, "requests do not wait for it");
        let version = gateway.version_until(model, |version| !version["refusal"].is_null()).await;
        assert_eq!(version["refusal"]["reason"], "timed_out", "{version}");
        assert_eq!(version["state"], "UNAVAILABLE", "{model}");
    }
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.predict_until(serves(&digest("iris_retrained"))).await;
}

#[tokio::test]
async fn a_candidate_that_takes_more_memory_than_it_may_is_refused_until_it_may() {
    let builder = TestGateway::builder().settings(|settings| settings.admission.max_memory_bytes = 320 << 20);
    let gateway = builder.start().await;
    for model in ["megabytes_to_load", "megabytes_to_run"] {
        gateway.repository.put_test_model(&format!("{model}/1/model.onnx"), model);
        let version = gateway.version_until(model, |version| !version["refusal"].is_null()).await;
        assert_eq!(version["refusal"]["reason"], "memory_limit", "{version}");
        assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK, "the others serve");
    }
    gateway.reload(|settings| settings.admission.max_memory_bytes = 2 << 30);
    let model = "megabytes_to_run";
    let load = gateway.manage(&format!("/v2/repository/models/{model}/load")).await;
    assert_eq!(load.status, StatusCode::OK, "{load:?}");
    let answer = gateway.predict_at(&format!("/models/{model}/predict"), &json!({"features": [2]})).await;
    assert_eq!(answer.body["prediction"], 4.0, "{answer:?}");
}

#[tokio::test]
async fn a_folder_beside_a_flat_file_takes_nothing_out_of_service() {
    let gateway = TestGateway::builder_without_models().model("line.onnx", "regressor").start().await;
    fs::create_dir(gateway.repository.path().join("line")).unwrap();
    gateway.repository.put_test_model("other.onnx", "regressor");
    gateway.version_until("other", |version| version["state"] == "READY").await;
    let answer = gateway.predict_at("/models/line/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(answer.body["prediction"], 5.0);
}
