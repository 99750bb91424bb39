//! Running rows of several requests at once: decided by the graph and by rows that are tried, with a reason.

use std::sync::Arc;

use onnx_gateway::model::WantedMode;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{TestGateway, table};

/// A gateway that serves one model of `tests/models/batching`, with one session that waits for further rows.
async fn serving(model: &str) -> Arc<TestGateway> {
    let settings = |settings: &mut onnx_gateway::config::Settings| {
        settings.runtime.scheduler = WantedMode::OwnThreads;
        settings.runtime.instances = 1;
        settings.runtime.max_delay_ms = 20;
    };
    let builder = TestGateway::builder_without_models().model("it.onnx", &format!("batching/{model}"));
    let gateway = builder.settings(settings).start().await;
    let version = gateway.version("it").await;
    assert_eq!(version["state"], "READY", "{model}: {version}");
    Arc::new(gateway)
}

/// The decision about rows of a model at once, and the reason.
async fn found(gateway: &TestGateway) -> (bool, String) {
    let version = gateway.version("it").await;
    let (costs, scheduler) = (&version["costs"], &version["scheduler"]);
    assert_eq!(costs["batchable"], scheduler["batching"], "{version}");
    (costs["batchable"].as_bool().unwrap(), scheduler["batching_reason"].as_str().unwrap().to_owned())
}

/// Asks for all rows at the same time; the answers in their order.
async fn all_at_once(gateway: &Arc<TestGateway>, rows: Vec<Value>) -> Vec<Value> {
    let mut all = JoinSet::new();
    for (index, row) in rows.into_iter().enumerate() {
        let gateway = Arc::clone(gateway);
        all.spawn(async move {
            let answer = gateway.predict_at("/models/it/predict", &json!({"features": row})).await;
            assert_eq!(answer.status, StatusCode::OK, "{row}: {answer:?}");
            (index, answer.body["prediction"].clone())
        });
    }
    let mut answers = all.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, prediction)| prediction).collect()
}

#[tokio::test]
async fn a_model_whose_scale_comes_from_all_rows_is_asked_row_by_row() {
    let gateway = serving("quantized_echo").await;
    let reason = "DynamicQuantizeLinear takes its scale from all rows".to_owned();
    assert_eq!(found(&gateway).await, (false, reason));
    let rows: Vec<Value> = (0..64).map(|number| json!([if number % 2 == 0 { 3 } else { 250 }])).collect();
    for (index, answer) in all_at_once(&gateway, rows).await.into_iter().enumerate() {
        assert_eq!(answer, if index % 2 == 0 { json!(3.0) } else { json!(250.0) }, "row {index}");
    }
}

#[tokio::test]
async fn a_softmax_with_the_greatest_value_of_all_rows_is_asked_row_by_row() {
    let cases = [
        ("softmax_by_hand", "ReduceMax takes all rows together"),
        ("softmax_in_a_body", "If has a body, which is not analysed, so rows may influence each other"),
    ];
    table::each_async(cases, async |(model, beginning)| {
        let gateway = serving(model).await;
        let (batchable, reason) = found(&gateway).await;
        assert!(!batchable && reason.starts_with(beginning), "{model}: {reason}");
        let rows: Vec<Value> = (0..64)
            .map(|number| if number % 2 == 0 { json!([1, 2, 3]) } else { json!([900, 901, 902]) })
            .collect();
        for answer in all_at_once(&gateway, rows).await {
            let likeliest = answer[2].as_f64().unwrap();
            assert!((likeliest - 0.665).abs() < 1e-3, "{model}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_classifier_whose_graph_keeps_rows_apart_is_run_for_many_at_once() {
    table::each_async(["classifier", "embedding", "encoders", "encoded_matrix"], async |model| {
        let gateway = serving(model).await;
        let reason = "rows are independent: the graph keeps rows apart".to_owned();
        assert_eq!(found(&gateway).await, (true, reason), "{model}");
    })
    .await;
}

#[tokio::test]
async fn encoders_of_listed_values_are_admitted_without_golden_cases() {
    let encoders = serving("encoders").await;
    let row = json!({"inputs": {"city": [["Zug"]], "size": [["XL"]], "code": [[50]], "number": [[1.5]]}});
    let answer = encoders.predict_at("/models/it/predict", &row).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    for (model, row) in [("encoded_matrix", json!(["Basel", "M"])), ("encoded_codes", json!([30]))] {
        let gateway = serving(model).await;
        assert_eq!(all_at_once(&gateway, vec![row]).await.len(), 1, "{model}");
    }
}

#[tokio::test]
async fn a_model_of_long_runs_is_batched_where_its_graph_keeps_rows_apart() {
    let gateway = serving("slow").await;
    let (batchable, reason) = found(&gateway).await;
    assert!(batchable, "{reason}");
    let answers = all_at_once(&gateway, vec![json!([0]), json!([1])]).await;
    let numbers: Vec<f64> = answers.iter().map(|answer| answer.as_f64().unwrap()).collect();
    assert!((numbers[1] - numbers[0] - 1.0).abs() < 1e-3, "{numbers:?}");
}

#[tokio::test]
async fn a_demand_for_batches_that_are_not_proven_is_refused_with_the_reason() {
    let gateway = TestGateway::builder_without_models()
        .model("it/1/model.onnx", "batching/quantized_echo")
        .start()
        .await;
    gateway.repository.put("it/model.toml", b"[scheduler]\nbatching = true\n");
    let version = gateway.version_until("it", |version| !version["refusal"].is_null()).await;
    let detail = version["refusal"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("not proven to be independent: DynamicQuantizeLinear takes its scale from all rows"),
        "{detail}"
    );
}
