//! Runs of one model at the same time: they share the weights, and nothing of one is seen in another.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use onnx_gateway::model::WantedMode;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{
    Answer, TestGateway,
    binary::{Process, command, free_port},
    processes,
    repository::Repository,
    tokens::{SECRET, TokenBuilder},
};

const INSTANCES: usize = 4;

/// Numbers that the table of `lookup` holds; the next one is an error of its run.
const KNOWN: u32 = 5;

/// One of the requests for three models, and its status.
fn asked(number: u32) -> (&'static str, Value, u16) {
    let value = number / 3;
    match number % 3 {
        0 => {
            let first = 4.0 + f64::from(value % 40) / 10.0;
            (
                "/models/iris/predict",
                json!({"features": [first, 3.0, 1.0 + f64::from(value % 60) / 10.0, 0.4]}),
                200,
            )
        }
        1 => {
            let number = value % (KNOWN + 1);
            let status = if number < KNOWN { 200 } else { 422 };
            ("/models/lookup/predict", json!({"features": [number]}), status)
        }
        _ => ("/models/dense/predict", json!({"features": [value]}), 200),
    }
}

#[tokio::test]
async fn each_of_many_runs_at_once_is_answered_as_it_is_alone() {
    for max_batch_rows in [1, 1024] {
        let builder = TestGateway::builder().model("lookup.onnx", "lookup");
        let builder = builder.model("dense.onnx", "megabytes_of_weights").settings(|settings| {
            settings.runtime.scheduler = WantedMode::OwnThreads;
            settings.runtime.instances = INSTANCES;
            settings.runtime.max_batch_rows = max_batch_rows;
        });
        let gateway = Arc::new(builder.start().await);
        for model in ["iris", "lookup", "dense"] {
            assert_eq!(gateway.version(model).await["scheduler"]["instances"], INSTANCES, "{model}");
        }
        let mut all = JoinSet::new();
        for number in 0..240 {
            let gateway = Arc::clone(&gateway);
            all.spawn(async move {
                let (path, body, _) = asked(number);
                (number, gateway.predict_at(path, &body).await)
            });
        }
        for (number, answer) in all.join_all().await {
            let (path, body, status) = asked(number);
            let alone = gateway.predict_at(path, &body).await;
            assert_eq!(
                (answer.status.as_u16(), alone.status.as_u16()),
                (status, status),
                "{body}: {answer:?}"
            );
            assert_eq!(answer.body["prediction"], alone.body["prediction"], "{path}, {body}");
            if path.contains("dense") {
                assert_eq!(answer.body["prediction"], f64::from(number / 3), "{answer:?}");
            }
        }
    }
}

/// Waits until so many requests are being answered, and none of them waits for a run.
async fn running(gateway: &TestGateway, count: usize) {
    let in_flight = format!("gateway_requests_in_flight {count}");
    let none_waits = r#"gateway_model_requests_waiting{model="slow",version="1"} 0"#;
    gateway
        .metrics_until(|metrics| {
            [in_flight.as_str(), none_waits].iter().all(|line| metrics.lines().any(|found| found == *line))
        })
        .await;
}

#[tokio::test]
async fn a_run_that_is_ended_early_ends_none_beside_it() {
    let builder = TestGateway::builder().model("slow/1/model.onnx", "slow").settings(|settings| {
        settings.runtime.instances = 2;
        settings.server.request_timeout_ms = 600_000;
    });
    let gateway = Arc::new(builder.start().await);
    let ask = |turns: f64| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            gateway.predict_at("/models/slow/predict", &json!({"features": {"turns": turns}})).await
        })
    };
    // Half a minute, if nothing ends it, and some seconds.
    let (ended, other) = (ask(2e7), ask(3e6));
    running(&gateway, 2).await;
    ended.abort();
    running(&gateway, 1).await;
    // The first one's instance is free again.
    let answer = timeout(Duration::from_secs(10), ask(3.0)).await.expect("an instance is free").unwrap();
    assert_eq!(answer.body["prediction"], 3.0, "{answer:?}");
    let answer = other.await.unwrap();
    assert_eq!((answer.status, &answer.body["prediction"]), (StatusCode::OK, &json!(3e6)), "{answer:?}");
}

/// The weights of the model below.
const WEIGHTS_BYTES: u64 = 64 << 20;

/// Memory of a gateway with a model of `WEIGHTS_BYTES`, after as many runs at once as it has instances.
async fn memory_with(instances: usize) -> u64 {
    let repository = Repository::new();
    repository.put_test_model("dense/1/model.onnx", "megabytes_of_weights");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = command();
    command
        .current_dir(repository.path())
        .env("GATEWAY__SERVER__LISTEN", address.to_string())
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
        .env("GATEWAY__MODELS__REPOSITORY", repository.path())
        .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state())
        .env("GATEWAY__RUNTIME__SCHEDULER", "own_threads")
        .env("GATEWAY__RUNTIME__INSTANCES", instances.to_string())
        .env("GATEWAY__RUNTIME__THREADS", "1");
    let process = Process::serve(command);
    let client = reqwest::Client::new();
    let mut all = JoinSet::new();
    for _ in 0..instances {
        let request = client.post(format!("http://{address}/predict")).json(&json!({"features": [2]}));
        let request = request.bearer_auth(TokenBuilder::new().build());
        all.spawn(async { Answer::of(request.send().await.unwrap()).await });
    }
    for answer in all.join_all().await {
        assert_eq!(answer.body["prediction"], 2.0, "{answer:?}");
    }
    processes::memory(process.id(), "RssAnon:")
}

#[tokio::test]
async fn the_weights_are_in_memory_once_for_all_instances() {
    let (one, four) = (memory_with(1).await, memory_with(INSTANCES).await);
    assert!(one > WEIGHTS_BYTES, "the weights are in memory: {one}");
    assert!(four < one + WEIGHTS_BYTES / 2, "one instance takes {one}, {INSTANCES} take {four}");
}
