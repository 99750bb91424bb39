//! What lies in the model repository and what becomes of it: which versions serve, under which names, what may serve at
//! all, and what happens when files change or vanish.

use std::{fs, os::unix::fs::symlink, path::Path};

use onnx_gateway::{
    config::{Preserve, WhenRemoved},
    model::Digest,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestGateway, pause,
    processes::{Child, children},
    repository::{iris, source_tree, test_model},
    setosa, table,
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
    let waiting = async {
        while ready().await != versions {
            pause().await;
        }
    };
    let waited = tokio::time::timeout(crate::support::PATIENCE, waiting).await;
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
    let waiting = async {
        while events().await != expected {
            pause().await;
        }
    };
    let waited = tokio::time::timeout(crate::support::PATIENCE, waiting).await;
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
    let cases = [
        ("versions = \"newest\"", "model.toml: versions: expected \"latest\", a number, or a list"),
        ("version = 2", "model.toml: unknown field `version`"),
        ("[contract]\ngolden_file = \"gone.json\"", "gone.json"),
        ("[[", "model.toml: "),
    ];
    table::each_async(cases, async |(text, part)| {
        gateway.repository.put("iris/model.toml", text.as_bytes());
        let shown = |entry: &Value| {
            entry["reason"].as_str().unwrap().starts_with("invalid_config: ")
                && entry["reason"].as_str().unwrap().contains(part)
        };
        let entry = gateway.index_until("iris", "1", shown).await;
        assert_eq!(entry["state"], "READY", "{text}");
    })
    .await;
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
        let waiting = async {
            while gateway.predict_at(path, &named).await.status != status {
                pause().await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, waiting).await.expect("the other contract holds");
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

#[tokio::test]
async fn hard_links_are_followed_only_among_the_files_of_a_model() {
    let gateway = TestGateway::start().await;
    let outside = tempfile::tempdir_in(gateway.repository.path().parent().unwrap()).unwrap();
    let beside = |name: &str| outside.path().join(name);
    let root = gateway.repository.path();
    for folder in ["iris/2", "iris/3", "linked/1"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    // As a tool does that saves the space of what is there already.
    fs::write(beside("new"), variant(2)).unwrap();
    fs::rename(beside("new"), root.join("iris/2/model.onnx")).unwrap();
    fs::hard_link(root.join("iris/2/model.onnx"), root.join("iris/model-2.onnx")).unwrap();
    gateway.predict_until(serves(&variant(2))).await;

    fs::write(beside("model.onnx"), variant(3)).unwrap();
    fs::hard_link(beside("model.onnx"), root.join("iris/3/model.onnx")).unwrap();
    let entry = gateway.reason_until("iris", "3", "outside_folder").await;
    let reason = entry["reason"].as_str().unwrap();
    assert!(reason.contains("hard link") && reason.contains("put a copy there"), "{reason}");
    assert!(!reason.contains(outside.path().to_str().unwrap()), "{reason}");

    fs::write(beside("weights.bin"), data("models/external/weights.bin")).unwrap();
    fs::hard_link(beside("weights.bin"), root.join("linked/1/weights.bin")).unwrap();
    gateway.repository.put("linked/1/model.onnx", &data("models/external/model.onnx"));
    gateway.reason_until("linked", "1", "outside_folder").await;

    fs::remove_file(beside("model.onnx")).unwrap();
    gateway.predict_until(serves(&variant(3))).await;
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
        let waiting = async {
            while ask().await.body["prediction"] != expected {
                pause().await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, waiting).await.expect("these weights serve");
        ask().await.header("x-model-digest").to_owned()
    };
    gateway.repository.put("ext/1/model.onnx", &data("models/external/model.onnx"));
    let entry = gateway.reason_until("ext", "1", "its file `weights.bin` is missing; waiting for it").await;
    assert_eq!(entry["state"], "LOADING");
    gateway.reload(|settings| settings.models.incomplete_grace_ms = 100);
    let entry = gateway.reason_until("ext", "1", "truncated: its file `weights.bin` is missing").await;
    assert_eq!(entry["state"], "UNAVAILABLE");

    put_weights("external");
    let before = answers(5.0).await;
    let digest_with = |folder: &str| {
        let files = ["external/model.onnx".to_owned(), format!("{folder}/weights.bin")];
        let lines = files.iter().map(|file| format!("{}\n", Digest::of(&data(&format!("models/{file}")))));
        // As `sha256sum model.onnx weights.bin | cut -d ' ' -f 1 | sha256sum` says.
        Digest::of(lines.collect::<String>().as_bytes())
    };
    assert_eq!(before, digest_with("external").short());
    put_weights("external_retrained");
    assert_eq!(answers(9.0).await, digest_with("external_retrained").short(), "the weights are part of it");
    let digest = digest_with("external_retrained").short();
    gateway.version_until("ext", |version| version["digest"] == digest).await;
    let history = gateway.history("ext").await;
    assert_eq!(history[0]["digest"], digest_with("external_retrained").to_string(), "{history:?}");
    assert_eq!(history[0]["replaces"], digest_with("external").to_string(), "{history:?}");
    events_until(&gateway, "ext", &["deployed", "deployed", "refused"]).await;
    assert_eq!(gateway.roll_back("ext").await.status, StatusCode::OK);
    answers(5.0).await;
    gateway.everything_is_dealt_with().await;
    answers(5.0).await;
}

/// A model with weights beside it, and as retrained: another file for each.
fn halves() -> [(&'static str, Vec<u8>, Vec<u8>); 2] {
    let model = data("models/external/model.onnx");
    let retrained = [model.clone(), vec![0xc0, 0x3e, 7]].concat();
    let weights = |folder: &str| data(&format!("models/{folder}/weights.bin"));
    [
        ("ext/1/model.onnx", model, retrained),
        ("ext/1/weights.bin", weights("external"), weights("external_retrained")),
    ]
}

async fn prediction_of(gateway: &TestGateway, model: &str) -> Value {
    gateway.predict_at(&format!("/models/{model}/predict"), &json!({"features": [1, 1]})).await.body["prediction"]
        .clone()
}

#[tokio::test]
async fn files_of_one_model_are_replaced_together_in_either_order() {
    for first in [0, 1] {
        let gateway = TestGateway::builder_without_models()
            .settings(|settings| settings.models.incomplete_grace_ms = 3_600_000)
            .start()
            .await;
        let files = halves();
        for (path, old, _) in &files {
            gateway.repository.put(path, old);
        }
        gateway.version_until("ext", |version| version["state"] == "READY").await;
        let (before, (path, _, new)) = (gateway.version("ext").await["digest"].clone(), &files[first]);
        gateway.repository.put(path, new);
        gateway.reason_until("ext", "1", "only some of its files changed; waiting for the rest").await;
        gateway.everything_is_dealt_with().await;
        assert_eq!(gateway.version("ext").await["digest"], before, "half a retraining does not serve");
        assert_eq!(prediction_of(&gateway, "ext").await, 5.0);
        let (path, _, new) = &files[1 - first];
        gateway.repository.put(path, new);
        gateway.version_until("ext", |version| version["digest"] != before).await;
        assert_eq!(prediction_of(&gateway, "ext").await, 9.0);
        events_until(&gateway, "ext", &["deployed", "deployed"]).await;
    }
}

#[tokio::test]
async fn a_file_that_stays_the_only_one_to_change_serves_after_the_grace() {
    let gateway = TestGateway::builder_without_models().start().await;
    let files = halves();
    for (path, old, _) in &files {
        gateway.repository.put(path, old);
    }
    gateway.version_until("ext", |version| version["state"] == "READY").await;
    let (path, _, new) = &files[1];
    gateway.repository.put(path, new);
    let answered = async {
        while prediction_of(&gateway, "ext").await != 9.0 {
            pause().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, answered).await.expect("the retrained weights serve");
}

#[tokio::test]
async fn half_a_retraining_that_a_start_finds_is_waited_on_too() {
    let builder = TestGateway::builder_without_models()
        .settings(|settings| settings.models.incomplete_grace_ms = 3_600_000);
    let files = halves();
    for (path, old, _) in &files {
        builder.repository.put(path, old);
    }
    let gateway = builder.start().await;
    gateway.version_until("ext", |version| version["state"] == "READY").await;
    let stopped = gateway.stop().await;
    let (path, _, new) = &files[0];
    stopped.repository.put(path, new);
    let gateway = stopped.start().await;
    gateway.reason_until("ext", "1", "only some of its files changed").await;
    assert_eq!(prediction_of(&gateway, "ext").await, 5.0);
    let (path, _, new) = &files[1];
    gateway.repository.put(path, new);
    let answered = async {
        while prediction_of(&gateway, "ext").await != 9.0 {
            pause().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, answered).await.expect("the whole retraining serves");
    events_until(&gateway, "ext", &["deployed", "restored", "deployed"]).await;
}

#[tokio::test]
async fn weights_that_are_shorter_than_the_model_says_are_waited_for() {
    let gateway = TestGateway::builder_without_models().start().await;
    let [(model, graph, _), (path, weights, _)] = halves();
    gateway.repository.put(path, &weights[..weights.len() - 4]);
    gateway.repository.put(model, &graph);
    let entry = gateway.reason_until("ext", "1", "truncated: its file `weights.bin` is too short: ").await;
    assert_eq!(entry["state"], "UNAVAILABLE");
    gateway.repository.put(path, &weights);
    gateway.version_until("ext", |version| version["state"] == "READY").await;
}

#[tokio::test]
async fn weights_under_another_name_are_told_of_with_the_one_that_is_wanted() {
    let gateway = TestGateway::builder_without_models().start().await;
    let [(model, graph, _), (_, weights, _)] = halves();
    gateway.repository.put("ext/1/model.onnx.data", &weights);
    gateway.repository.put(model, &graph);
    gateway
        .reason_until(
            "ext",
            "1",
            "truncated: its file `weights.bin` is missing; `model.onnx.data` lies beside it: a data file keeps the name",
        )
        .await;
}

/// The entries of the index under this name, as state, version and reason.
async fn index_of(gateway: &TestGateway, name: &str) -> Vec<[String; 3]> {
    let index = gateway.manage("/v2/repository/index").await.body;
    let of_name = index.as_array().unwrap().iter().filter(|entry| entry["name"] == name);
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    of_name.map(|entry| ["state", "version", "reason"].map(|key| text(entry, key))).collect()
}

#[tokio::test]
async fn a_model_in_a_wrong_place_is_in_the_index_and_in_nobody_s_way() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("churn/model.onnx", "regressor");
    let reason = "no version in it: expected churn/1/model.onnx, found churn/model.onnx: move it there";
    gateway.index_until("churn", "", |entry| entry["reason"] == reason).await;
    assert_eq!(index_of(&gateway, "churn").await, [["UNAVAILABLE", "", reason]]);
    let shown = Answer::of(gateway.get("/models/churn").send().await.unwrap()).await;
    assert_eq!(shown.body, json!({"name": "churn", "versions": [], "problems": [reason]}));
    // Whoever asks for what is ready is not told, nor whoever asks a model.
    let ready =
        Answer::of(gateway.post("/v2/repository/index").json(&json!({"ready": true})).send().await.unwrap());
    assert_eq!(ready.await.body.as_array().unwrap().len(), 1);
    let predict = gateway.predict_at("/models/churn/predict", &setosa()).await;
    assert_eq!(predict.problem_code(), "model_not_found");
    assert_eq!(gateway.get("/health/ready").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK, "iris is the only model");

    gateway.repository.put_test_model("churn/1/model.onnx", "regressor");
    gateway.repository.remove("churn/model.onnx");
    gateway.index_until("churn", "1", |entry| entry["state"] == "READY" && entry["reason"] == "").await;
    gateway.index_until("churn", "", Value::is_null).await;
    let shown = Answer::of(gateway.get("/models/churn").send().await.unwrap()).await;
    assert_eq!(shown.body.get("problems"), None, "{shown:?}");
}

#[tokio::test]
async fn a_model_that_only_lies_in_a_wrong_place_is_not_the_default_one() {
    let gateway = TestGateway::builder_without_models().model("line.onnx", "regressor").start().await;
    gateway.repository.put_test_model("iris/model.onnx", "regressor");
    gateway.index_until("iris", "", |entry| entry["state"] == "UNAVAILABLE").await;
    let answer = gateway.predict(&json!({"features": [1, 1]})).await;
    assert_eq!((answer.status, &answer.body["model"]), (StatusCode::OK, &json!("line")));
}

#[tokio::test]
async fn what_lies_beside_versions_that_serve_is_told_of_under_its_own_name() {
    let gateway = TestGateway::start().await;
    gateway.repository.put("iris/2/iris.onnx", &variant(2));
    gateway.repository.put("iris/v3/model.onnx", &variant(3));
    gateway.repository.put("iris/1/other.onnx", &variant(4));
    let reason = |version, part: &'static str| {
        gateway.index_until("iris", version, move |entry| {
            entry["reason"].as_str().is_some_and(|reason| reason.contains(part))
        })
    };
    let entry = reason("2", "expected iris/2/model.onnx, found iris/2/iris.onnx: rename it").await;
    assert_eq!(entry["state"], "UNAVAILABLE");
    let entry = reason("v3", "a version is a whole number").await;
    assert_eq!(entry["state"], "UNAVAILABLE");
    let entry = reason("1", "iris/1/other.onnx: has no effect: only iris/1/model.onnx is read").await;
    assert_eq!(entry["state"], "READY");
    ready_until(&gateway, &["1"]).await;
}

#[tokio::test]
async fn tritons_configuration_counts_where_there_is_no_model_toml() {
    let builder = TestGateway::builder();
    let triton = b"name: \"iris\"\nplatform: \"onnxruntime_onnx\"\nmax_batch_size: 8\n\
                   version_policy { specific { versions: [1, 2] } }\nresponse_cache { enable: true }\n";
    builder.repository.put("iris/config.pbtxt", triton);
    builder.repository.put("iris/2/model.onnx", &variant(2));
    builder.repository.put("iris/3/model.onnx", &variant(3));
    let gateway = builder.start().await;
    ready_until(&gateway, &["1", "2"]).await;
    let shown = Answer::of(gateway.get("/models/iris").send().await.unwrap()).await;
    assert_eq!(shown.body["versions"][0]["scheduler"]["max_batch_rows"], 8, "{shown:?}");
    let notice = "iris/config.pbtxt: `response_cache` has no effect: responses are not cached";
    assert_eq!(shown.body["problems"], json!([notice]), "{shown:?}");
    // A change of it is noticed, and so is one that cannot be read.
    gateway.repository.put("iris/config.pbtxt", b"version_policy { specific { versions: [3, 9] } }");
    ready_until(&gateway, &["3"]).await;
    let missing = "config.pbtxt asks for version 9, which is not there";
    gateway.index_until("iris", "9", |entry| entry["reason"] == missing).await;
    gateway.repository.put("iris/config.pbtxt", b"backend: \"python\"");
    let refused = async || {
        let shown = Answer::of(gateway.get("/models/iris").send().await.unwrap()).await;
        shown.body.to_string().contains("config.pbtxt: backend: expected \\\"onnxruntime\\\"")
    };
    while !refused().await {
        pause().await;
    }
    // The gateway's own file wins.
    gateway.repository.put("iris/model.toml", b"versions = 2");
    ready_until(&gateway, &["2"]).await;
    let shown = Answer::of(gateway.get("/models/iris").send().await.unwrap()).await;
    assert!(shown.body["problems"].is_null(), "{shown:?}");
}

#[tokio::test]
async fn versions_that_model_toml_names_and_that_are_not_there_are_told_of() {
    let builder = TestGateway::builder();
    builder.repository.put("iris/model.toml", b"versions = 9\n[labels]\ncanary = 8");
    let gateway = builder.start().await;
    let (asked, labelled) = (
        "model.toml asks for version 9, which is not there",
        "the label `canary` of model.toml names version 8, which is not there",
    );
    gateway.index_until("iris", "9", |entry| entry["reason"] == asked).await;
    let expected = [["UNAVAILABLE", "1", asked], ["UNAVAILABLE", "8", labelled], ["UNAVAILABLE", "9", asked]];
    let mut index = index_of(&gateway, "iris").await;
    index.sort_by(|left, right| left[1].cmp(&right[1]));
    assert_eq!(index, expected);
    let shown = Answer::of(gateway.get("/models/iris").send().await.unwrap()).await;
    assert_eq!(shown.body["problems"], json!([labelled, asked]));
    assert_eq!(shown.body["versions"][0]["waiting"], asked);
    let load = gateway.manage("/v2/repository/models/iris/load").await;
    assert_eq!(load.status, StatusCode::CONFLICT);
    assert_eq!(load.body["error"], format!("invalid_config: {asked}"));

    gateway.repository.put("iris/9/model.onnx", &variant(9));
    gateway.repository.put("iris/model.toml", b"versions = [1, 9]");
    ready_until(&gateway, &["1", "9"]).await;
    gateway.index_until("iris", "8", Value::is_null).await;
    assert_eq!(index_of(&gateway, "iris").await, [["READY", "1", ""], ["READY", "9", ""]]);
    gateway.repository.put("iris/model.toml", b"versions = [1, 7]");
    gateway
        .index_until("iris", "7", |entry| {
            entry["reason"] == "model.toml asks for version 7, which is not there"
        })
        .await;
    ready_until(&gateway, &["1"]).await;
}

#[tokio::test]
async fn a_default_model_that_is_not_there_is_told_of_until_it_comes() {
    let builder =
        TestGateway::builder().settings(|settings| settings.models.default = Some("zzz".parse().unwrap()));
    let gateway = builder.start().await;
    let entry = gateway.reason_until("zzz", "", "models.default: there is no model `zzz`").await;
    assert_eq!(entry["state"], "UNAVAILABLE");
    assert_eq!(gateway.predict(&setosa()).await.problem_code(), "model_not_found");
    gateway.reload(|settings| settings.models.default = Some("iris".parse().unwrap()));
    gateway.index_until("zzz", "", Value::is_null).await;
    gateway.reload(|settings| settings.models.default = Some("late".parse().unwrap()));
    gateway.reason_until("late", "", "models.default").await;
    gateway.repository.put_iris("late.onnx");
    gateway.index_until("late", "", Value::is_null).await;
    gateway.answer_until("/predict", serves(&iris())).await;
}

#[tokio::test]
async fn a_file_of_another_format_is_refused_by_its_name() {
    let gateway = TestGateway::start().await;
    let padded = |start: &[u8]| [start, &[0; 100]].concat();
    let cases = [
        ("ort", padded(b"\x1c\0\0\0ORTM"), "ONNX Runtime's own format (ORT)"),
        ("pickle", padded(b"\x80\x04\x95"), "a Python pickle"),
        ("keras", padded(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
        ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(), "run `git lfs pull`"),
    ];
    table::each_async(cases, async |(name, content, part)| {
        gateway.repository.put(&format!("{name}/1/model.onnx"), &content);
        let entry = gateway.reason_until(name, "1", "not_onnx: the file is not an ONNX model: it is ").await;
        assert!(entry["reason"].as_str().unwrap().contains(part), "{entry}");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_comes_back_in_time_was_never_gone() {
    let builder = TestGateway::builder().settings(|settings| settings.models.removal_grace_ms = 3_600_000);
    let gateway = builder.model("line.onnx", "regressor").start().await;
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
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let stopped = gateway.stop().await;
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
    let waiting = async {
        while gateway.predict(&large).await.status != StatusCode::OK {
            pause().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, waiting).await.expect("what fails is taken back here too");
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
    gateway.repository.put_test_model("iris/1/model.onnx", "seconds_to_run");
    gateway.reason_until("iris", "1", "it is being proven").await;
    gateway.repository.put("iris/2/model.onnx", &variant(2));
    gateway.predict_until(serves(&variant(2))).await;
    let answer = gateway.post("/v2/repository/models/iris/load").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let is_being_proven = children(std::process::id()).iter().any(Child::is_proof);
    assert!(is_being_proven, "it was not waited for");
}

/// Line models that answer the same and are not the same files.
fn line(number: u8) -> Vec<u8> {
    // Field 1000, a varint.
    [test_model("regressor"), vec![0xc0, 0x3e, number]].concat()
}

#[tokio::test]
async fn many_candidates_are_judged_one_by_one_and_leave_no_process() {
    let builder = TestGateway::builder_without_models();
    for number in 0..24 {
        builder.repository.put(&format!("line{number}/1/model.onnx"), &line(number));
    }
    for (name, model) in [
        ("nan", "nan_weights"),
        ("long", "seconds_to_run"),
        ("large", "megabytes_to_load"),
        ("renamed", "iris_renamed_input"),
    ] {
        builder.repository.put_test_model(&format!("{name}/1/model.onnx"), model);
        builder.repository.put_test_model(&format!("{name}/2/model.onnx"), "regressor");
        builder.repository.put(&format!("{name}/model.toml"), b"versions = [1, 2]");
    }
    let builder = builder.settings(|settings| {
        settings.admission.timeout_seconds = 1;
        settings.admission.max_memory_bytes = 320 << 20;
    });
    let gateway = builder.start().await;
    for number in 0..24 {
        assert_eq!(gateway.version(&format!("line{number}")).await["state"], "READY");
        let answer =
            gateway.predict_at(&format!("/models/line{number}/predict"), &json!({"features": [1, 1]})).await;
        assert_eq!(answer.header("x-model-digest"), Digest::of(&line(number)).short());
        events_until(&gateway, &format!("line{number}"), &["deployed"]).await;
    }
    gateway.reason_until("nan", "1", "non_finite_output").await;
    gateway.reason_until("long", "1", "timed_out").await;
    gateway.reason_until("large", "1", "memory_limit").await;
    for name in ["nan", "long", "large"] {
        assert_eq!(gateway.indexed(name, "2").await["state"], "READY", "{name}");
    }
    assert_eq!(gateway.indexed("renamed", "1").await["state"], "READY");
    let waiting = async {
        while children(std::process::id()).iter().any(Child::is_proof) {
            pause().await;
        }
    };
    assert!(
        tokio::time::timeout(crate::support::PATIENCE, waiting).await.is_ok(),
        "a process of a proof is left"
    );
}

#[tokio::test]
async fn many_models_are_restored_without_a_proof_or_a_copy() {
    let builder = TestGateway::builder();
    for number in 0..24 {
        builder.repository.put(&format!("line{number}/1/model.onnx"), &line(number));
    }
    let gateway = builder.start().await;
    let builder = gateway.stop().await;
    let folder = builder.repository.state().join("copies");
    let copies = || {
        let of = |entry: fs::DirEntry| (entry.path(), entry.metadata().unwrap().modified().unwrap());
        fs::read_dir(&folder).unwrap().map(|entry| of(entry.unwrap())).collect::<Vec<_>>()
    };
    let before = copies();
    assert_eq!(before.len(), 25);
    // What changed while it was not running is found as well.
    builder.repository.put("line7/1/model.onnx", &line(107));
    let gateway = builder.start().await;
    for number in 0..24_u8 {
        let (content, events) = match number {
            7 => (line(107), &["deployed", "restored", "deployed"][..]),
            number => (line(number), &["restored", "deployed"][..]),
        };
        let name = format!("line{number}");
        let answer =
            gateway.predict_at(&format!("/models/{name}/predict"), &json!({"features": [1, 1]})).await;
        assert_eq!(answer.header("x-model-digest"), Digest::of(&content).short(), "{name}");
        events_until(&gateway, &name, events).await;
    }
    let kept = copies();
    assert_eq!(before.iter().filter(|copy| !kept.contains(copy)).count(), 0, "none was made anew");
    gateway.repository.put("line3/1/model.onnx", &line(103));
    events_until(&gateway, "line3", &["deployed", "restored", "deployed"]).await;
}
