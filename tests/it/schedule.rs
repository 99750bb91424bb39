//! How models are scheduled: what the proof finds out, what follows from it, and what an operator can set.

use onnx_gateway::model::WantedMode;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{TestGateway, pause, setosa, table};

#[tokio::test]
async fn what_was_measured_and_what_follows_is_shown() {
    let gateway = TestGateway::start().await;
    let version = gateway.version("iris").await;
    let costs = &version["costs"];
    assert_eq!(costs["batchable"], true, "{version}");
    assert!(costs["run_us"].as_u64().unwrap() > 0 && costs["run_32_rows_us"].is_u64(), "{version}");
    let scheduler = &version["scheduler"];
    assert_eq!(scheduler["mode"], "request_thread", "{version}");
    assert_eq!(
        (&scheduler["batching"], &scheduler["threads"], &scheduler["max_batch_rows"]),
        (&json!(true), &json!(1), &json!(1024))
    );
    assert_eq!((&scheduler["max_delay_ms"], &scheduler["queue_capacity"]), (&json!(0), &json!(1024)));
    let instances = scheduler["instances"].as_u64().unwrap();
    assert!(scheduler["reason"].as_str().unwrap().starts_with("a run takes "), "{version}");
    let info = format!(
        r#"gateway_model_schedule_info{{batching="true",instances="{instances}",mode="request_thread",model="iris",threads="1",version="1"}} 1"#
    );
    gateway.metrics_until(|metrics| metrics.contains(&info)).await;
}

/// Whether a model of `tests/models` is proven to answer rows at once as it does alone.
async fn is_batchable(model: &str) -> bool {
    let gateway = TestGateway::builder_without_models().model("it.onnx", model).start().await;
    let version = gateway.version("it").await;
    assert_eq!(version["state"], "READY", "{model}: {version}");
    assert_eq!(version["scheduler"]["batching"], version["costs"]["batchable"], "{model}");
    version["costs"]["batchable"].as_bool().unwrap()
}

#[tokio::test]
async fn rows_that_do_not_depend_on_each_other_may_be_run_at_once() {
    let cases = [
        "regressor",
        "integers",
        "two_inputs",
        "kinds/zip_map",
        "kinds/zip_map_text",
        "kinds/no_zip_map",
        "kinds/several_targets",
        "kinds/columns",
        "kinds/wrong_shape",
        "kinds/vector",
        "kinds/every_type",
    ];
    table::each_async(cases, async |model| {
        assert!(is_batchable(model).await, "{model}");
    })
    .await;
}

#[tokio::test]
async fn rows_that_depend_on_each_other_are_found() {
    let cases = [
        ("centred", "the mean of all rows is taken off each"),
        ("softmax_of_rows", "all rows share their probability"),
        ("slow", "all rows take as many turns as the one with the most"),
        ("kinds/scalar", "one input has no rows"),
        ("kinds/unsigned", "it takes three numbers and no others"),
        ("kinds/optional_input", "some may give what others leave out"),
    ];
    table::each_async(cases, async |(model, why)| {
        assert!(!is_batchable(model).await, "{model}: {why}");
    })
    .await;
}

#[tokio::test]
async fn what_stands_beside_a_model_is_followed_without_a_restart() {
    let gateway = TestGateway::start().await;
    let history = gateway.history("iris").await.len();
    let settings = b"[scheduler]\nmode = \"own_threads\"\nbatching = false\nmax_batch_rows = 64\n\
                     max_delay_ms = 3\nqueue_capacity = 9\ninstances = 3\nthreads = 2\n";
    gateway.repository.put("iris/model.toml", settings);
    let changed = |version: &serde_json::Value| version["scheduler"]["mode"] == "own_threads";
    let waiting = async {
        loop {
            // No request may notice.
            let answer = gateway.predict(&setosa()).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            let version = gateway.version("iris").await;
            if changed(&version) {
                return version;
            }
            pause().await;
        }
    };
    let version = tokio::time::timeout(crate::support::PATIENCE, waiting).await.unwrap();
    let expected = json!({
        "mode": "own_threads", "batching": false,
        "batching_reason": "scheduler.batching in model.toml, or max_batch_size in config.pbtxt, switches it off", "instances": 3, "threads": 2, "max_batch_rows": 64,
        "max_delay_ms": 3, "queue_capacity": 9, "reason": "scheduler.mode in model.toml asks for it"
    });
    assert_eq!(version["scheduler"], expected);
    assert_eq!(version["costs"]["batchable"], true, "that is a fact and no setting");
    let answer = gateway.predict(&setosa()).await;
    assert_eq!((answer.status, &answer.body["prediction"]), (StatusCode::OK, &json!("setosa")));
    let info = r#"batching="false",instances="3",mode="own_threads",model="iris",threads="2",version="1"} 1"#;
    let metrics = gateway.metrics_until(|metrics| metrics.contains(info)).await;
    assert_eq!(metrics.matches("gateway_model_schedule_info{").count(), 1, "the one before is gone");
    assert_eq!(gateway.history("iris").await.len(), history, "it is the same deployment");

    gateway.repository.remove("iris/model.toml");
    gateway.version_until("iris", |version| version["scheduler"]["mode"] == "request_thread").await;
}

#[tokio::test]
async fn batches_are_not_made_of_what_is_not_proven_to_bear_it() {
    let gateway =
        TestGateway::builder_without_models().model("centred/1/model.onnx", "centred").start().await;
    let demand = b"[scheduler]\nbatching = true\n";
    gateway.repository.put("centred/model.toml", demand);
    let version = gateway.version_until("centred", |version| !version["refusal"].is_null()).await;
    assert_eq!((&version["state"], &version["scheduler"]["batching"]), (&json!("READY"), &json!(false)));
    assert_eq!(version["refusal"]["reason"], "invalid_config");
    let detail = version["refusal"]["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(
            "model.toml: scheduler.batching is true, but the rows of several requests are not proven"
        ),
        "{detail}"
    );
    gateway.repository.put("centred/model.toml", b"[scheduler]\nbatching = false\n");
    gateway.version_until("centred", |version| version["refusal"].is_null()).await;

    gateway.repository.put("late/model.toml", demand);
    gateway.repository.put_test_model("late/1/model.onnx", "softmax_of_rows");
    let version = gateway.version_until("late", |version| !version["refusal"].is_null()).await;
    assert_eq!(
        (&version["state"], &version["refusal"]["reason"]),
        (&json!("UNAVAILABLE"), &json!("invalid_config"))
    );
    gateway.repository.put("late/model.toml", b"[scheduler]\nmax_batch_rows = 2\n");
    gateway.version_until("late", |version| version["state"] == "READY").await;
}

#[tokio::test]
async fn a_setting_that_is_out_of_range_changes_nothing_and_is_named() {
    let gateway = TestGateway::start().await;
    gateway.repository.put("iris/model.toml", b"[scheduler]\nmax_delay_ms = 2000\n");
    let version = gateway.version_until("iris", |version| !version["refusal"].is_null()).await;
    assert_eq!(
        version["refusal"]["detail"],
        "model.toml: scheduler.max_delay_ms: expected a whole number from 0 to 1000, got 2000"
    );
    assert_eq!((&version["state"], &version["scheduler"]["max_delay_ms"]), (&json!("READY"), &json!(0)));
}

#[tokio::test]
async fn the_gateway_has_settings_for_all_models() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.runtime.scheduler = WantedMode::OwnThreads;
            settings.runtime.max_delay_ms = 4;
            settings.runtime.max_batch_rows = 16;
            settings.runtime.instances = 1;
            settings.runtime.threads = 2;
        })
        .start()
        .await;
    let scheduler = gateway.version("iris").await["scheduler"].clone();
    let expected = json!({
        "mode": "own_threads", "batching": true,
        "batching_reason": "rows are independent: the graph keeps rows apart", "instances": 1, "threads": 2, "max_batch_rows": 16,
        "max_delay_ms": 4, "queue_capacity": 1024, "reason": "runtime.scheduler asks for it"
    });
    assert_eq!(scheduler, expected);
}
