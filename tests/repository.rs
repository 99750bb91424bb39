//! What lies in the model repository and what becomes of it: which versions serve, under which names, what may serve at
//! all, and what happens when files change or vanish.
#![allow(clippy::allow_attributes, reason = "what a test file needs of these differs from one to the next")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::missing_panics_doc, reason = "a test that cannot go on fails")]

mod support;

use std::{fs, os::unix::fs::symlink, path::Path};

use onnx_gateway::{
    config::{Preserve, WhenRemoved},
    model::Digest,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{
    Answer, TestGateway,
    repository::{iris, source_tree, test_model},
    setosa,
};

fn serves(content: &[u8]) -> impl Fn(&Answer) -> bool {
    let digest = Digest::of(content).short();
    move |answer| answer.status == StatusCode::OK && answer.header("x-model-digest") == digest
}

/// The forest as another file that answers the same: with a field at its end that no reader of ONNX knows.
fn variant(number: u8) -> Vec<u8> {
    // Field 1000, a varint.
    [iris(), vec![0xc0, 0x3e, number]].concat()
}

fn data(path: &str) -> Vec<u8> {
    fs::read(source_tree().join("tests").join(path)).unwrap()
}

/// Waits until exactly these versions of Iris are in service.
async fn ready_until(gateway: &TestGateway, versions: &[&str]) {
    let ready = async || {
        let request = gateway.post("/v2/repository/index").json(&json!({"ready": true}));
        let index = Answer::of(request.send().await.unwrap()).await.body;
        let of_iris = |entry: &&Value| entry["name"] == "iris";
        let entries = index.as_array().unwrap().iter().filter(of_iris);
        entries.map(|entry| entry["version"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let waiting = async { while ready().await != versions {} };
    let waited = tokio::time::timeout(support::PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{:?} are ready, not {versions:?}", ready().await);
}

/// Version and status of an answer from this path.
async fn version_at(gateway: &TestGateway, path: &str) -> Result<String, String> {
    let answer = gateway.predict_at(path, &setosa()).await;
    match answer.status {
        StatusCode::OK => Ok(answer.header("x-model-version").to_owned()),
        _ => Err(answer.problem_code().to_owned()),
    }
}

/// Waits until this, and no more, was done to a model, the newest first.
async fn events_until(gateway: &TestGateway, model: &str, expected: &[&str]) {
    let events = async || {
        let history = gateway.history(model).await;
        history.iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let waiting = async { while events().await != expected {} };
    let waited = tokio::time::timeout(support::PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{:?} is what was done, not {expected:?}", events().await);
}

async fn with_three_versions() -> TestGateway {
    let builder = TestGateway::builder();
    builder.repository.put("iris/2/model.onnx", &variant(2));
    builder.repository.put("iris/3/model.onnx", &variant(3));
    builder.start().await
}

#[tokio::test]
async fn model_toml_says_which_versions_serve() {
    let gateway = with_three_versions().await;
    let write = |text: &str| gateway.repository.put("iris/model.toml", text.as_bytes());
    ready_until(&gateway, &["3"]).await;
    write("versions = 1");
    ready_until(&gateway, &["1"]).await;
    assert_eq!(version_at(&gateway, "/predict").await.unwrap(), "1");
    write("versions = [1, 3]");
    ready_until(&gateway, &["1", "3"]).await;
    assert_eq!(version_at(&gateway, "/predict").await.unwrap(), "3");
    assert_eq!(version_at(&gateway, "/models/iris/versions/1/predict").await.unwrap(), "1");
    assert_eq!(
        version_at(&gateway, "/models/iris/versions/2/predict").await.unwrap_err(),
        "version_not_found"
    );
    write("versions = 7");
    gateway.everything_is_dealt_with().await;
    assert_eq!(version_at(&gateway, "/predict").await.unwrap(), "3", "what serves goes on until 7 comes");
    write("versions = \"latest\"");
    ready_until(&gateway, &["3"]).await;
    write("versions = 2");
    ready_until(&gateway, &["2"]).await;
    gateway.repository.remove("iris/model.toml");
    ready_until(&gateway, &["3"]).await;
}

#[tokio::test]
async fn a_flat_file_has_its_settings_beside_it() {
    let builder = TestGateway::builder().model("line.onnx", "regressor");
    builder.repository.put("line.toml", b"[labels]\nstable = 1");
    let gateway = builder.start().await;
    let answer =
        gateway.predict_at("/models/line/versions/stable/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(answer.body["prediction"], 5.0);
}

#[tokio::test]
async fn labels_name_versions_and_move_only_to_what_is_ready() {
    let builder = TestGateway::builder();
    builder.repository.put("iris/2/model.onnx", &variant(2));
    builder.repository.put("iris/model.toml", b"[labels]\nstable = 1\ncanary = 2\nnext = 3");
    let gateway = builder.start().await;
    let stable = "/models/iris/versions/stable/predict";
    ready_until(&gateway, &["1", "2"]).await;
    assert_eq!(version_at(&gateway, stable).await.unwrap(), "1");
    assert_eq!(version_at(&gateway, "/models/iris/versions/canary/predict").await.unwrap(), "2");
    assert_eq!(version_at(&gateway, "/models/iris/versions/1/predict").await.unwrap(), "1");
    assert_eq!(version_at(&gateway, "/predict").await.unwrap(), "2");
    for unknown in ["next", "other", "latest", "STABLE"] {
        let path = format!("/models/iris/versions/{unknown}/predict");
        assert_eq!(version_at(&gateway, &path).await.unwrap_err(), "version_not_found", "{unknown}");
    }

    gateway.repository.put("iris/model.toml", b"[labels]\nstable = 3");
    gateway.everything_is_dealt_with().await;
    assert_eq!(version_at(&gateway, stable).await.unwrap(), "1", "3 has not come yet");
    gateway.repository.put_test_model("iris/3/model.onnx", "nan_weights");
    gateway.reason_until("iris", "3", "non_finite_output").await;
    gateway.everything_is_dealt_with().await;
    assert_eq!(version_at(&gateway, stable).await.unwrap(), "1", "3 does not serve");
    gateway.repository.put("iris/3/model.onnx", &variant(3));
    gateway.answer_until(stable, |answer| answer.header("x-model-version") == "3").await;
    ready_until(&gateway, &["3"]).await;
    let gone = version_at(&gateway, "/models/iris/versions/canary/predict").await;
    assert_eq!(gone.unwrap_err(), "version_not_found");
}

#[tokio::test]
async fn a_model_toml_that_cannot_be_read_changes_nothing() {
    let gateway = TestGateway::start().await;
    for (text, part) in [
        ("versions = \"newest\"", "model.toml: versions: expected \"latest\", a number, or a list"),
        ("version = 2", "model.toml: unknown field `version`"),
        ("[contract]\ngolden_file = \"gone.json\"", "gone.json"),
        ("[[", "model.toml: "),
    ] {
        gateway.repository.put("iris/model.toml", text.as_bytes());
        let shown = |entry: &Value| {
            entry["reason"].as_str().unwrap().starts_with("invalid_config: ")
                && entry["reason"].as_str().unwrap().contains(part)
        };
        let entry = gateway.index_until("iris", "1", shown).await;
        assert_eq!(entry["state"], "READY", "{text}");
    }
    gateway.repository.put("iris/2/model.onnx", &variant(2));
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "nothing changes until it can be read");
    let load = gateway.manage("/v2/repository/models/iris/load").await;
    assert_eq!(load.status, StatusCode::CONFLICT);
    assert!(load.body["error"].as_str().unwrap().starts_with("invalid_config: model.toml: "), "{load:?}");
    gateway.repository.put("iris/model.toml", b"");
    gateway.predict_until(serves(&variant(2))).await;
    gateway.index_until("iris", "2", |entry| entry["reason"] == "").await;

    let builder = TestGateway::builder();
    builder.repository.put("iris/model.toml", b"[[");
    let gateway = builder.start().await;
    let entry = gateway.reason_until("iris", "1", "invalid_config").await;
    assert_eq!(entry["state"], "UNAVAILABLE", "there is nothing to go on with");
}

#[tokio::test]
async fn model_toml_overrides_the_contract_and_has_the_model_proven_anew() {
    let gateway = TestGateway::builder_without_models().model("line/1/model.onnx", "regressor").start().await;
    let named = json!({"features": {"a": 1, "b": 1}});
    let path = "/models/line/predict";
    assert_eq!(gateway.predict_at(path, &named).await.errors()[0].1, "no_feature_names");
    let narrower = "[[contract.features]]\nname = \"a\"\nmaximum = 9\n[[contract.features]]\nname = \"b\"\n";
    gateway.repository.put("line/model.toml", narrower.as_bytes());
    let entry = gateway.reason_until("line", "1", "incompatible_signature").await;
    let difference = "the feature `a` may be at most 9, was any number";
    assert!(entry["reason"].as_str().unwrap().contains(difference), "{entry}");
    let allowed = format!("allow_breaking_changes = true\n{narrower}");
    gateway.repository.put("line/model.toml", allowed.as_bytes());
    let by_name = async |status: StatusCode| {
        let waiting = async { while gateway.predict_at(path, &named).await.status != status {} };
        tokio::time::timeout(support::PATIENCE, waiting).await.expect("the other contract holds");
    };
    by_name(StatusCode::OK).await;
    let answer = gateway.predict_at(path, &json!({"features": [10, 1]})).await;
    assert_eq!(answer.errors(), [("/features/0".to_owned(), "out_of_range".to_owned())]);
    events_until(&gateway, "line", &["deployed", "refused", "deployed"]).await;

    let breaking = "[[contract.features]]\nname = \"c\"\n[[contract.features]]\nname = \"d\"\n";
    gateway.repository.put("line/model.toml", breaking.as_bytes());
    let entry = gateway.reason_until("line", "1", "incompatible_signature").await;
    assert!(entry["reason"].as_str().unwrap().contains("the features [a, b] became [c, d]"), "{entry}");
    by_name(StatusCode::OK).await;
    let allowed = format!("allow_breaking_changes = true\n{breaking}");
    gateway.repository.put("line/model.toml", allowed.as_bytes());
    by_name(StatusCode::UNPROCESSABLE_ENTITY).await;
    let answer = gateway.predict_at(path, &json!({"features": {"c": 1, "d": 1}})).await;
    assert_eq!(answer.body["prediction"], 5.0, "{answer:?}");
}

#[tokio::test]
async fn model_toml_names_the_classes() {
    let gateway = TestGateway::start().await;
    let classes = b"allow_breaking_changes = true\n[contract]\nclasses = [\"small\", \"medium\", \"large\"]";
    gateway.repository.put("iris/model.toml", classes);
    let answer = gateway.predict_until(|answer| answer.body["prediction"] == "small").await;
    assert!(serves(&iris())(&answer), "the file is the same");
    assert!(answer.body["probabilities"]["small"].as_f64().unwrap() > 0.9, "{answer:?}");
}

#[tokio::test]
async fn golden_cases_in_a_file_of_their_own_are_asked() {
    let gateway = TestGateway::builder_without_models().model("line/1/model.onnx", "regressor").start().await;
    let golden = |answer: u8| format!(r#"[{{"inputs":{{"x":[[1,1]]}},"outputs":{{"y":[[{answer}]]}}}}]"#);
    gateway.repository.put("line/golden.json", golden(6).as_bytes());
    gateway.repository.put("line/model.toml", b"[contract]\ngolden_file = \"golden.json\"");
    let entry = gateway.reason_until("line", "1", "golden_mismatch").await;
    assert!(entry["reason"].as_str().unwrap().contains("golden case 0, output `y`"), "{entry}");
    assert_eq!(entry["state"], "READY", "as it was before");
    gateway.repository.put("line/golden.json", golden(5).as_bytes());
    gateway.index_until("line", "1", |entry| entry["reason"] == "").await;
    events_until(&gateway, "line", &["deployed", "refused", "deployed"]).await;
}

#[tokio::test]
async fn only_the_bytes_that_are_pinned_serve() {
    let gateway = TestGateway::start().await;
    let pin = |digests: &[Digest]| {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        gateway.repository.put("iris/model.toml", format!("[pin]\nsha256 = {digests:?}").as_bytes());
    };
    pin(&[Digest::of(&iris()), Digest::of(&variant(3))]);
    gateway.everything_is_dealt_with().await;
    assert_eq!(gateway.indexed("iris", "1").await["reason"], "", "it is what is pinned");
    gateway.repository.put("iris/1/model.onnx", &variant(2));
    let entry = gateway.reason_until("iris", "1", "digest_mismatch").await;
    let digest = Digest::of(&variant(2)).to_string();
    assert!(
        entry["reason"].as_str().unwrap().contains(&format!("model.onnx has the sha256 {digest}")),
        "{entry}"
    );
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    gateway.repository.put("iris/1/model.onnx", &variant(3));
    gateway.predict_until(serves(&variant(3))).await;
    gateway.repository.put("iris/1/model.onnx", &variant(2));
    gateway.reason_until("iris", "1", "digest_mismatch").await;
    pin(&[Digest::of(&variant(2))]);
    gateway.predict_until(serves(&variant(2))).await;
}

/// The key that `tests/data/iris_retrained.onnx.minisig` was made with, by `minisign -S`.
fn minisign_key() -> String {
    let text = String::from_utf8(data("data/minisign.pub")).unwrap();
    text.lines().last().unwrap().to_owned()
}

#[tokio::test]
async fn only_what_is_signed_with_the_key_that_is_pinned_serves() {
    let gateway = TestGateway::start().await;
    let (signed, signature) = (test_model("iris_retrained"), data("data/iris_retrained.onnx.minisig"));
    let pin = format!("[pin]\nminisign_public_key = \"{}\"", minisign_key());
    gateway.repository.put("iris/model.toml", pin.as_bytes());
    gateway.reason_until("iris", "1", "signature_mismatch").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "what serves goes on");

    gateway.repository.put("iris/2/model.onnx", &signed);
    gateway.reason_until("iris", "2", "signature_mismatch: 2/model.onnx.minisig: ").await;
    gateway.repository.put("iris/2/model.onnx.minisig", b"no signature");
    gateway.reason_until("iris", "2", "signature_mismatch: the signature of model.onnx: ").await;
    gateway.repository.put("iris/2/model.onnx.minisig", &signature);
    gateway.predict_until(serves(&signed)).await;

    gateway.repository.put("iris/3/model.onnx.minisig", &signature);
    gateway.repository.put("iris/3/model.onnx", &variant(3));
    gateway.reason_until("iris", "3", "signature_mismatch: the signature of model.onnx: ").await;
    assert!(serves(&signed)(&gateway.predict(&setosa()).await));
}

#[tokio::test]
async fn links_out_of_the_model_s_folder_are_not_followed() {
    let gateway = TestGateway::start().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("model.onnx"), variant(2)).unwrap();
    let root = gateway.repository.path();
    fs::create_dir_all(root.join("iris/2")).unwrap();
    symlink(outside.path().join("model.onnx"), root.join("iris/2/model.onnx")).unwrap();
    let entry = gateway.reason_until("iris", "2", "outside_folder").await;
    assert!(!entry["reason"].as_str().unwrap().contains(outside.path().to_str().unwrap()), "{entry}");

    fs::write(outside.path().join("weights.bin"), data("models/external/weights.bin")).unwrap();
    fs::create_dir_all(root.join("linked/1")).unwrap();
    symlink(outside.path().join("weights.bin"), root.join("linked/1/weights.bin")).unwrap();
    gateway.repository.put("linked/1/model.onnx", &data("models/external/model.onnx"));
    gateway.reason_until("linked", "1", "outside_folder").await;
    gateway.repository.put_test_model("dotdot.onnx", "external_escape_dotdot");
    gateway.reason_until("dotdot", "1", "outside_folder").await;
    gateway.repository.put_test_model("absolute.onnx", "external_escape_absolute");
    gateway.reason_until("absolute", "1", "outside_folder").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
}

/// Makes the folder's files be those of `content`, as a Kubernetes volume does: by one link that is exchanged.
fn swap_volume(folder: &Path, generation: &str, content: &[u8]) {
    fs::create_dir_all(folder.join(generation)).unwrap();
    fs::write(folder.join(generation).join("model.onnx"), content).unwrap();
    symlink(generation, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test]
async fn a_volume_whose_link_is_exchanged_is_followed() {
    let builder = TestGateway::builder_without_models();
    let folder = builder.repository.path().join("iris/1");
    swap_volume(&folder, "..2026_01", &iris());
    symlink("..data/model.onnx", folder.join("model.onnx")).unwrap();
    let gateway = builder.start().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    swap_volume(&folder, "..2026_02", &variant(2));
    fs::remove_dir_all(folder.join("..2026_01")).unwrap();
    gateway.predict_until(serves(&variant(2))).await;
}

#[tokio::test]
async fn weights_beside_the_model_are_part_of_it() {
    let builder = TestGateway::builder_without_models().settings(|settings| {
        settings.models.incomplete_grace_ms = 3_600_000;
    });
    let gateway = builder.start().await;
    let put_weights = |folder: &str| {
        gateway.repository.put("ext/1/weights.bin", &data(&format!("models/{folder}/weights.bin")));
    };
    let answers = async |expected: f64| {
        let ask = async || gateway.predict_at("/models/ext/predict", &json!({"features": [1, 1]})).await;
        let waiting = async { while ask().await.body["prediction"] != expected {} };
        tokio::time::timeout(support::PATIENCE, waiting).await.expect("these weights serve");
        ask().await.header("x-model-digest").to_owned()
    };
    gateway.repository.put("ext/1/model.onnx", &data("models/external/model.onnx"));
    let entry = gateway.reason_until("ext", "1", "its file `weights.bin` is missing; it is waited for").await;
    assert_eq!(entry["state"], "LOADING");
    gateway.reload(|settings| settings.models.incomplete_grace_ms = 100);
    let entry = gateway.reason_until("ext", "1", "truncated: its file `weights.bin` is missing").await;
    assert_eq!(entry["state"], "UNAVAILABLE");

    put_weights("external");
    let before = answers(5.0).await;
    put_weights("external_retrained");
    assert_eq!(answers(9.0).await, before, "the model's file is the same");
    events_until(&gateway, "ext", &["deployed", "deployed", "refused"]).await;
    assert_eq!(gateway.roll_back("ext").await.status, StatusCode::OK);
    answers(5.0).await;
    gateway.everything_is_dealt_with().await;
    answers(5.0).await;
}

#[tokio::test]
async fn a_file_that_comes_back_in_time_was_never_gone() {
    let builder = TestGateway::builder().settings(|settings| settings.models.removal_grace_ms = 3_600_000);
    let gateway = builder.start().await;
    gateway.repository.remove("iris");
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict_at("/models/iris/predict", &setosa()).await));
    gateway.repository.put_iris("iris/1/model.onnx");
    gateway.everything_is_dealt_with().await;
    events_until(&gateway, "iris", &["deployed"]).await;
    gateway.repository.remove("iris");
    gateway.everything_is_dealt_with().await;
    gateway.reload(|settings| settings.models.removal_grace_ms = 0);
    gateway.index_until("iris", "1", Value::is_null).await;
    events_until(&gateway, "iris", &["removed", "deployed"]).await;
    assert_eq!(version_at(&gateway, "/models/iris/predict").await.unwrap_err(), "model_not_found");
}

#[tokio::test]
async fn what_was_removed_while_the_gateway_was_down_goes_too() {
    let stopped = TestGateway::start().await.stop().await;
    stopped.repository.remove("iris");
    let gateway = stopped.start().await;
    gateway.index_until("iris", "1", Value::is_null).await;
    events_until(&gateway, "iris", &["removed", "restored", "deployed"]).await;
}

#[tokio::test]
async fn a_version_whose_file_is_gone_serves_on_where_that_is_wanted() {
    let builder =
        TestGateway::builder().settings(|settings| settings.models.when_removed = WhenRemoved::Keep);
    let gateway = builder.start().await;
    gateway.repository.remove("iris");
    events_until(&gateway, "iris", &["kept", "deployed"]).await;
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict_at("/models/iris/predict", &setosa()).await));
    events_until(&gateway, "iris", &["kept", "deployed"]).await;
    let gateway = gateway.stop().await.start().await;
    events_until(&gateway, "iris", &["kept", "restored", "kept", "deployed"]).await;
    assert!(
        serves(&iris())(&gateway.predict_at("/models/iris/predict", &setosa()).await),
        "after a restart too"
    );
    gateway.repository.put("iris/1/model.onnx", &variant(2));
    gateway.answer_until("/models/iris/predict", serves(&variant(2))).await;
    gateway.repository.remove("iris");
    let unloaded = gateway.manage("/v2/repository/models/iris/unload").await;
    assert_eq!(unloaded.status, StatusCode::OK);
    let gone = |answer: &Answer| answer.body["code"] == "model_not_found";
    gateway.answer_until("/models/iris/predict", gone).await;
}

#[tokio::test]
async fn where_resources_are_dearer_the_old_one_makes_room_first() {
    let builder = TestGateway::builder().settings(|settings| {
        settings.models.preserve = Preserve::Resources;
        settings.rollback.min_answers = 2;
    });
    let gateway = builder.start().await;
    for (path, content) in [("iris/1/model.onnx", variant(1)), ("iris/2/model.onnx", variant(2))] {
        gateway.repository.put(path, &content);
        let answer = gateway
            .answer_until("/predict", |answer| {
                let in_between = answer.status == StatusCode::SERVICE_UNAVAILABLE;
                assert!(answer.status == StatusCode::OK || in_between, "{answer:?}");
                serves(&content)(answer)
            })
            .await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    events_until(&gateway, "iris", &["deployed", "unloaded", "deployed", "unloaded", "deployed"]).await;
    gateway.repository.put_test_model("iris/3/model.onnx", "nan_weights");
    gateway.reason_until("iris", "3", "non_finite_output").await;
    assert!(serves(&variant(2))(&gateway.predict(&setosa()).await), "no room is made for what is not proven");
    let rolled_back = gateway.roll_back("iris").await;
    assert_eq!(rolled_back.body["version"], "1", "{rolled_back:?}");

    gateway.repository.put_test_model("iris/4/model.onnx", "iris_nan_on_large");
    gateway.answer_until("/predict", serves(&test_model("iris_nan_on_large"))).await;
    let large = json!({"features": [15, 3.5, 1.4, 0.2]});
    let waiting = async { while gateway.predict(&large).await.status != StatusCode::OK {} };
    tokio::time::timeout(support::PATIENCE, waiting).await.expect("what fails is taken back here too");
    assert!(serves(&variant(1))(&gateway.predict(&setosa()).await));
}

#[tokio::test]
async fn what_there_is_no_memory_for_is_refused_until_there_is() {
    let gateway = TestGateway::start().await;
    gateway.reload(|settings| settings.runtime.memory_limit_bytes = 1 << 20);
    gateway.repository.put("iris/1/model.onnx", &variant(2));
    let entry = gateway.reason_until("iris", "1", "insufficient_memory: ").await;
    assert_eq!(entry["state"], "READY");
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    gateway.reload(|settings| settings.runtime.memory_limit_bytes = 0);
    gateway.predict_until(serves(&variant(2))).await;
    events_until(&gateway, "iris", &["deployed", "refused", "deployed"]).await;
}

#[tokio::test]
async fn weights_may_have_any_name() {
    let gateway = TestGateway::builder_without_models().start().await;
    gateway.repository.put("ext/1/manifest.json", &data("models/external/weights.bin"));
    gateway.repository.put("ext/1/model.onnx", &data("models/external_manifest.onnx"));
    gateway.version_until("ext", |version| version["state"] == "READY").await;
    let answer = gateway.predict_at("/models/ext/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(answer.body["prediction"], 5.0, "{answer:?}");
}

#[tokio::test]
async fn a_pipe_in_place_of_model_toml_holds_nothing_up() {
    let gateway = TestGateway::start().await;
    let pipe = gateway.repository.path().join("iris/model.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    gateway.repository.put_test_model("other.onnx", "regressor");
    gateway.version_until("other", |version| version["state"] == "READY").await;
    assert_eq!(gateway.predict(&setosa()).await.status, 200);
}

#[tokio::test]
async fn what_is_being_proven_for_nobody_keeps_no_request_waiting() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("iris/1/model.onnx", "endless");
    gateway.reason_until("iris", "1", "it is being proven").await;
    gateway.repository.put("iris/2/model.onnx", &variant(2));
    gateway.predict_until(serves(&variant(2))).await;
    let answer = gateway.post("/v2/repository/models/iris/load").send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
