//! Repositories in object stores: what changes there serves, and what fails there changes nothing.

mod away;
mod commands;
mod limits;

use reqwest::StatusCode;
use serde_json::json;

use onnx_gateway::{config::Settings, model::Digest};

use crate::support::{
    Answer, Builder, TestGateway,
    repository::{iris, source_tree, test_model},
    setosa,
    store::{BUCKET, TestStore},
};

/// Makes a store the repository.
type UseStore = fn(&mut Settings, &TestStore);

fn as_s3(settings: &mut Settings, store: &TestStore) {
    settings.models.repository = format!("s3://{BUCKET}").into();
    settings.models.store.endpoint = Some(store.endpoint());
    settings.models.store.anonymous = true;
}

fn as_webdav(settings: &mut Settings, store: &TestStore) {
    settings.models.repository = store.folder().into();
}

/// A gateway of a store, which is polled often.
fn gateway(store: &TestStore, use_store: UseStore) -> Builder {
    TestGateway::builder_without_models().settings(|settings| {
        settings.models.store.poll_interval_ms = 100;
        use_store(settings, store);
    })
}

/// A store with the Iris model.
async fn store_of_iris() -> TestStore {
    let store = TestStore::start().await;
    store.put("iris/1/model.onnx", &iris());
    store
}

fn digest(content: &[u8]) -> String {
    Digest::of(content).short()
}

fn serves(content: &[u8]) -> impl Fn(&Answer) -> bool {
    let digest = digest(content);
    move |answer| answer.header("x-model-digest") == digest
}

fn file(path: &str) -> Vec<u8> {
    std::fs::read(source_tree().join("tests/models").join(path)).unwrap()
}

/// The number of polls with this outcome.
fn polls(metrics: &str, outcome: &str) -> usize {
    let series = format!("gateway_repository_polls_total{{outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Waits for the next poll with this outcome.
async fn next_poll(gateway: &TestGateway, outcome: &str) -> String {
    let before = polls(&gateway.metrics().await, outcome);
    gateway.metrics_until(|metrics| polls(metrics, outcome) > before).await
}

/// Replaces the model, and waits until it serves.
async fn retrain(gateway: &TestGateway, store: &TestStore) {
    let retrained = test_model("iris_retrained");
    store.put("iris/1/model.onnx", &retrained);
    gateway.predict_until(serves(&retrained)).await;
}

#[tokio::test]
async fn a_retrained_object_serves_within_two_polls_without_one_failed_request() {
    for use_store in [as_s3 as UseStore, as_webdav] {
        let store = store_of_iris().await;
        let gateway = gateway(&store, use_store).start().await;
        assert!(serves(&iris())(&gateway.predict(&setosa()).await));
        store.requests();
        // Every response until then is a 200, or the helper fails.
        retrain(&gateway, &store).await;
        let requests = store.requests();
        let read = requests.iter().position(|request| request == "iris/1/model.onnx").unwrap();
        let walks = if use_store as usize == as_s3 as UseStore as usize { 1 } else { 3 };
        // The first of them may have begun before the change.
        assert!(read <= 2 * walks, "{requests:?}");
        assert!(gateway.metrics().await.contains("gateway_repository_available 1"));
        gateway.shut_down().await;
    }
}

#[tokio::test]
async fn objects_come_and_go_as_files_do() {
    let store = store_of_iris().await;
    store.put("line.onnx", &test_model("regressor"));
    let gateway = gateway(&store, as_s3).start().await;
    store.put("iris/2/model.onnx", &test_model("iris_retrained"));
    gateway.predict_until(|answer| answer.header("x-model-version") == "2").await;
    store.put("iris/model.toml", b"versions = [1]\n");
    gateway.predict_until(|answer| answer.header("x-model-version") == "1").await;
    let answer = gateway.predict_at("/models/line/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(answer.body["prediction"], 5.0);
    store.remove("line.onnx");
    gateway.version_until("line", serde_json::Value::is_null).await;
    assert_eq!(gateway.history("iris").await[0]["event"], "deployed");
}

#[tokio::test]
async fn a_rolled_back_object_stays_so_until_it_changes() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_s3).start().await;
    retrain(&gateway, &store).await;
    assert_eq!(gateway.roll_back("iris").await.status, StatusCode::OK);
    next_poll(&gateway, "unchanged").await;
    next_poll(&gateway, "unchanged").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
}

#[tokio::test]
async fn a_model_of_several_objects_serves_once_all_of_them_are_there() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_s3).start().await;
    store.put("wide/1/model.onnx", &file("external/model.onnx"));
    next_poll(&gateway, "changed").await;
    gateway.version_until("wide", |version| version["state"] == "LOADING").await;
    store.put("wide/1/weights.bin", &file("external/weights.bin"));
    let version = gateway.version_until("wide", |version| version["state"] == "READY").await;
    assert!(version["refusal"].is_null(), "{version}");
}

#[tokio::test]
async fn objects_that_change_while_others_are_read_are_read_together_again() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_s3).settings(|s| s.models.incomplete_grace_ms = 60_000).start().await;
    store.put_when_read("wide/1/model.onnx", "wide/1/weights.bin", file("external_retrained/weights.bin"));
    {
        // Both at once, as far as a listing can tell.
        store.freeze_listing(true);
        store.put("wide/1/model.onnx", &file("external_retrained/model.onnx"));
        store.put("wide/1/weights.bin", &file("external/weights.bin"));
        store.freeze_listing(false);
    }
    gateway.metrics_until(|metrics| polls(metrics, "changing") == 1).await;
    gateway.version_until("wide", |version| version["state"] == "READY").await;
    let deployed: Vec<_> = gateway.history("wide").await;
    assert_eq!(deployed.len(), 1, "only one pair ever served: {deployed:?}");
}

#[tokio::test]
async fn an_object_that_is_not_the_listed_one_changes_nothing() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_s3).start().await;
    store.put("iris/1/model.onnx", &iris());
    store.put("iris/2/model.onnx", &test_model("nan_weights"));
    store.freeze_listing(true);
    store.put("iris/2/model.onnx", &test_model("iris_retrained"));
    gateway.metrics_until(|metrics| polls(metrics, "changing") >= 1).await;
    let answer = gateway.predict(&setosa()).await;
    assert_eq!((answer.status, answer.header("x-model-version")), (StatusCode::OK, "1"));
    store.freeze_listing(false);
    gateway.predict_until(|answer| answer.header("x-model-version") == "2").await;
}

#[tokio::test]
async fn gateways_that_share_a_state_directory_share_a_mirror() {
    let store = store_of_iris().await;
    let state = tempfile::tempdir().unwrap();
    let sharing =
        || gateway(&store, as_s3).settings(|s| s.models.state_directory = state.path().to_path_buf());
    let (first, second) = (sharing().start().await, sharing().start().await);
    retrain(&first, &store).await;
    second.predict_until(serves(&test_model("iris_retrained"))).await;
    first.shut_down().await;
    store.put("iris/1/model.onnx", &iris());
    second.predict_until(serves(&iris())).await;
}
