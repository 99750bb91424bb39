//! Stores that are stopped, slow, or refuse.

use reqwest::StatusCode;
use serde_json::Value;

use super::{as_s3, as_webdav, gateway, next_poll, polls, retrain, serves, store_of_iris};
use crate::support::{
    Answer, TestGateway,
    repository::{iris, test_model},
    setosa,
    store::{Behavior, TestStore},
};

async fn readiness(gateway: &TestGateway) -> StatusCode {
    gateway.client.get(gateway.url("/health/ready")).send().await.unwrap().status()
}

/// Whether the repository can be read, by the metrics.
async fn is_available(gateway: &TestGateway, expected: &str) {
    let series = format!("gateway_repository_available {expected}\n");
    gateway.metrics_until(|metrics| metrics.contains(&series)).await;
}

#[tokio::test]
async fn while_a_store_fails_models_serve_on_and_then_follow_it_again() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_s3).settings(|s| s.models.store.timeout_ms = 300).start().await;
    for (behavior, outcome) in [
        (Behavior::Status(403), "denied"),
        (Behavior::Status(404), "missing"),
        (Behavior::Status(500), "response"),
        (Behavior::Silent, "slow"),
    ] {
        store.behave(behavior);
        next_poll(&gateway, outcome).await;
        is_available(&gateway, "0").await;
        let answer = gateway.predict(&setosa()).await;
        assert!(serves(&iris())(&answer), "{behavior:?}: {answer:?}");
        assert_eq!(readiness(&gateway).await, StatusCode::OK);
        store.behave(Behavior::Serve);
        is_available(&gateway, "1").await;
    }
    retrain(&gateway, &store).await;
}

#[tokio::test]
async fn a_store_that_is_stopped_and_started_again_is_followed_again() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_webdav)
        .settings(|settings| settings.models.require_repository = true)
        .start()
        .await;
    store.stop();
    next_poll(&gateway, "unreachable").await;
    is_available(&gateway, "0").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    assert_eq!(readiness(&gateway).await, StatusCode::SERVICE_UNAVAILABLE, "as the settings demand");
    store.resume().await;
    is_available(&gateway, "1").await;
    assert_eq!(readiness(&gateway).await, StatusCode::OK);
    retrain(&gateway, &store).await;
}

#[tokio::test]
async fn the_mirror_serves_after_a_restart_without_the_store() {
    let store = store_of_iris().await;
    store.put("line.onnx", &test_model("regressor"));
    let builder = gateway(&store, as_s3).start().await.stop().await;
    store.stop();
    let gateway = builder.start().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    is_available(&gateway, "0").await;
    assert_eq!(readiness(&gateway).await, StatusCode::OK);
    // What does not serve yet can be loaded from the mirror.
    let loaded = gateway.manage("/v2/repository/models/line/load").await;
    assert_eq!(loaded.status, StatusCode::OK, "{loaded:?}");
    store.resume().await;
    retrain(&gateway, &store).await;
}

#[tokio::test]
async fn a_gateway_without_a_mirror_waits_for_its_store() {
    let store = store_of_iris().await;
    store.behave(Behavior::Status(403));
    let gateway = gateway(&store, as_s3).start().await;
    assert_eq!(readiness(&gateway).await, StatusCode::SERVICE_UNAVAILABLE);
    is_available(&gateway, "0").await;
    store.behave(Behavior::Serve);
    gateway.version_until("iris", |version| version["state"] == "READY").await;
    assert_eq!(readiness(&gateway).await, StatusCode::OK);
}

#[tokio::test]
async fn a_store_that_lost_everything_takes_nothing_out_of_service() {
    let store = store_of_iris().await;
    let gateway = gateway(&store, as_s3).start().await;
    store.clear();
    next_poll(&gateway, "emptied").await;
    next_poll(&gateway, "emptied").await;
    is_available(&gateway, "0").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    let builder = gateway.stop().await;
    let gateway = builder.start().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "nor does a restart");
    store.put("iris/1/model.onnx", &test_model("iris_retrained"));
    gateway.predict_until(serves(&test_model("iris_retrained"))).await;
}

#[tokio::test]
async fn an_object_that_breaks_off_changes_nothing_of_its_model_and_delays_no_other() {
    let store = TestStore::start().await;
    store.put("iris/1/model.onnx", &iris());
    let gateway = gateway(&store, as_s3).start().await;
    // A listed object that is gone when it is read.
    store.put("iris/2/model.onnx", &test_model("iris_retrained"));
    store.put("line.onnx", &test_model("regressor"));
    store.freeze_listing(true);
    store.remove("iris/2/model.onnx");
    let metrics = gateway.metrics_until(|metrics| polls(metrics, "missing") >= 1).await;
    assert_eq!(polls(&metrics, "denied"), 0);
    gateway.version_until("line", |version| version["state"] == "READY").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    let models = Answer::of(gateway.get("/models/iris").send().await.unwrap()).await;
    assert_eq!(models.body["versions"].as_array().map(Vec::len), Some(1), "{}", Value::from(models.text));
}
