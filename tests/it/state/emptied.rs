//! A repository that loses its models.

use std::{fs, time::Duration};

use serde_json::json;

use super::gateway::{REMOVAL_GRACE, Site, digest, until, variant};
use crate::support::repository::{iris, test_model};

/// Time after which a vanished file has long been taken out of service, on a busy machine too.
const LONGER_THAN_THE_GRACE: Duration = REMOVAL_GRACE.saturating_mul(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_that_vanish_all_at_once_are_served_until_they_come_back() {
    let site = Site::with_iris();
    site.put("line.onnx", &test_model("regressor"));
    let gateway = site.start().await;
    gateway.until_metric("gateway_repository_available", 1).await;
    let mount = site.folder.path().join("models");
    let elsewhere = site.folder.path().join("elsewhere");
    // As a mount does whose other end is gone: the folder is there, and nothing in it.
    fs::rename(&mount, &elsewhere).unwrap();
    fs::create_dir(&mount).unwrap();
    gateway.until_metric("gateway_repository_available", 0).await;
    gateway.process.wait_for_line("lost all its models at once");
    gateway.serves_for(LONGER_THAN_THE_GRACE, &digest(&iris())).await;
    assert_eq!(gateway.readiness().await, 200);
    gateway.until_metric("gateway_repository_available", 0).await;

    // They come back one after the other.
    fs::create_dir(mount.join("iris")).unwrap();
    fs::rename(elsewhere.join("iris/1"), mount.join("iris/1")).unwrap();
    gateway.until_metric("gateway_repository_available", 1).await;
    gateway.process.wait_for_line("models.repository holds models again");
    fs::rename(elsewhere.join("line.onnx"), mount.join("line.onnx")).unwrap();
    site.put("iris/2/model.onnx", &variant(2));
    gateway.until_serves(&digest(&variant(2))).await;
    let line = gateway.post("/models/line/predict", &json!({"features": [1, 1]})).await;
    assert_eq!(line.status, 200, "{line:?}");
    assert_eq!(gateway.events().await, ["deployed", "deployed"], "nothing was unloaded");
    // One of several is removed as before.
    fs::remove_file(mount.join("line.onnx")).unwrap();
    until("it is unloaded", async || {
        (gateway.post("/models/line/predict", &json!({"features": [1, 1]})).await.status == 404).then_some(())
    })
    .await;
    gateway.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_a_lost_repository_where_the_settings_say_so() {
    let site = Site::with_iris().setting("MODELS__REQUIRE_REPOSITORY", true);
    let gateway = site.start().await;
    let mount = site.folder.path().join("models");
    for is_missing in [false, true] {
        fs::rename(&mount, site.folder.path().join("elsewhere")).unwrap();
        if !is_missing {
            fs::create_dir(&mount).unwrap();
        }
        until("it is not ready", async || (gateway.readiness().await == 503).then_some(())).await;
        assert_eq!(gateway.digest().await, digest(&iris()), "it serves on");
        if !is_missing {
            fs::remove_dir(&mount).unwrap();
        }
        fs::rename(site.folder.path().join("elsewhere"), &mount).unwrap();
        gateway.until_ready().await;
    }
    gateway.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_model_is_unloaded_by_request_or_by_the_settings() {
    let site = Site::with_iris();
    let gateway = site.start().await;
    fs::remove_dir_all(site.folder.path().join("models/iris")).unwrap();
    gateway.process.wait_for_line("lost all its models at once");
    gateway.serves_for(LONGER_THAN_THE_GRACE, &digest(&iris())).await;
    let unloaded = gateway.post("/v2/repository/models/iris/unload", &json!({})).await;
    assert_eq!(unloaded.status, 200);
    until("it is unloaded", async || (gateway.readiness().await == 503).then_some(())).await;
    gateway.end();

    let site = Site::with_iris().setting("MODELS__WHEN_EMPTIED", "unload");
    let gateway = site.start().await;
    fs::remove_dir_all(site.folder.path().join("models/iris")).unwrap();
    until("it is unloaded", async || (gateway.readiness().await == 503).then_some(())).await;
    gateway.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_empty_at_the_start_serves_what_served_before() {
    let site = Site::with_iris();
    site.start().await.end();
    fs::remove_dir_all(site.folder.path().join("models/iris")).unwrap();
    let gateway = site.start().await;
    gateway.process.wait_for_line("lost all its models at once");
    gateway.serves_for(LONGER_THAN_THE_GRACE, &digest(&iris())).await;
    gateway.end();
    // Nothing served before, so nothing is lost.
    fs::remove_dir_all(site.state()).unwrap();
    let gateway = site.start_soon();
    gateway.process.wait_for_line("holds no model");
    site.put("iris/1/model.onnx", &iris());
    gateway.until_ready().await;
    gateway.end();
}
