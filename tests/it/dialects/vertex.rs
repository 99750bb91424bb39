//! Vertex AI, whose paths are the operator's.

use std::net::SocketAddr;

use onnx_gateway::config::{Environment, load};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ROWS, native, post, send};
use crate::support::{Answer, TestGateway, table};

async fn gateway(health: &str, predict: &str) -> TestGateway {
    let (health, predict) = (Some(health.to_owned()), Some(predict.to_owned()));
    let builder = TestGateway::builder().settings(|settings| {
        settings.dialects.vertex_health_route = health;
        settings.dialects.vertex_predict_route = predict;
    });
    builder.start().await
}

async fn open(gateway: &TestGateway, path: &str) -> Answer {
    Answer::of(gateway.client.get(gateway.url(path)).send().await.unwrap()).await
}

#[tokio::test]
async fn its_routes_come_before_all_others() {
    let shared = "/v1/endpoints/1/deployedModels/2:predict";
    let cases = [
        (shared, shared),
        ("/health", "/predict"),
        ("/ping", "/invocations"),
        ("/v1/models", "/v1/models/iris:predict"),
    ];
    table::each_async(cases, async |(health, predict)| {
        let gateway = gateway(health, predict).await;
        let (labels, probabilities) = native_of_tensors(&gateway, predict).await;
        let rows: Vec<Value> = labels
            .iter()
            .zip(&probabilities)
            .map(|(label, probabilities)| json!({"label": label, "probabilities": probabilities}))
            .collect();
        let answer = post(&gateway, predict, &json!({"instances": ROWS, "parameters": {}})).await;
        assert_eq!(answer.body, json!({"predictions": rows}), "{predict}: {answer:?}");
        // What is as usual as can be, by a caller who is known by now, is not taken for a native request.
        let answer = post(&gateway, predict, &json!({"instances": ROWS})).await;
        assert_eq!(answer.body, json!({"predictions": rows}), "{predict}: {answer:?}");
        let ready = open(&gateway, health).await;
        assert_eq!((ready.status.as_u16(), ready.text.as_str()), (200, ""), "{health}");
        let refused = gateway.client.post(gateway.url(predict)).json(&json!({"instances": ROWS}));
        let refused = Answer::of(refused.send().await.unwrap()).await;
        assert_eq!(refused.status.as_u16(), 401, "{refused:?}");
        assert!(refused.body["error"].is_string(), "{refused:?}");
        // Everything else is there as it is without them.
        assert_eq!(open(&gateway, "/health/live").await.status.as_u16(), 200);
        assert_eq!(open(&gateway, "/nothing").await.status.as_u16(), 401);
        let version = gateway.version("iris").await;
        assert_eq!(version["state"], "READY", "{version}");
        let answer = post(&gateway, "/models/iris/predict", &json!({"features": ROWS[0]})).await;
        assert_eq!(answer.body["prediction"], "setosa", "{answer:?}");
    })
    .await;
}

/// The native numbers, where the native route of the default model may be taken.
async fn native_of_tensors(gateway: &TestGateway, taken: &str) -> (Vec<Value>, Vec<Vec<Value>>) {
    if taken != "/predict" {
        return native(gateway).await;
    }
    let answer = post(gateway, "/models/iris/predict", &json!({"inputs": {"features": ROWS}})).await;
    let data = |name: &str| answer.body["outputs"][name]["data"].as_array().unwrap().clone();
    (data("label"), data("probabilities").chunks(3).map(<[Value]>::to_vec).collect())
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    let gateway = gateway("/up", "/ask").await;
    let cases = [
        ("", "not valid JSON"),
        ("{}", "`instances`"),
        (r#"{"inputs":[[1,1,1,1]]}"#, "/inputs"),
        (r#"{"instances":[[1,1,1,"x"]]}"#, "/instances/0/3"),
        (r#"{"instances":[[1,1,1,1]],"parameters":{"x":1}}"#, "/parameters"),
    ];
    table::each_async(cases, async |(body, part)| {
        let answer = send(&gateway, Method::POST, "/ask", "application/json", body).await;
        assert_eq!(answer.status.as_u16(), 400, "{body}: {answer:?}");
        assert!(answer.body["error"].as_str().unwrap().contains(part), "{body}: {answer:?}");
    })
    .await;
    let empty = TestGateway::builder_without_models().settings(|settings| {
        settings.dialects.vertex_health_route = Some("/up".to_owned());
    });
    let empty = empty.start().await;
    let answer = open(&empty, "/up").await;
    assert_eq!(answer.status.as_u16(), 503, "{answer:?}");
    assert!(answer.body["error"].is_string(), "{answer:?}");
}

#[test]
fn its_environment_is_a_layer_of_settings() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/default.toml"), "[server]\nlisten = '0.0.0.0:8000'\n").unwrap();
    let file = folder.path().join("my.toml");
    std::fs::write(&file, "[server]\nlisten = '127.0.0.1:9'\n[dialects]\nvertex_health_route = '/mine'\n")
        .unwrap();
    let settings = |files: &[std::path::PathBuf], variables: &[(&str, &str)]| {
        let vertex =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let working_directory = folder.path().to_path_buf();
        let environment = Environment { vertex, working_directory, ..Environment::default() };
        load(files, &environment).map(|loaded| loaded.settings).map_err(|problems| problems.to_string())
    };
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let variables = [("AIP_HTTP_PORT", "7080"), ("AIP_HEALTH_ROUTE", "/up"), ("AIP_PREDICT_ROUTE", "/ask")];

    let alone = settings(&[], &variables).unwrap();
    assert_eq!(alone.server.listen, address("0.0.0.0:7080"), "over the image's own file");
    assert_eq!(alone.dialects.vertex_health_route.as_deref(), Some("/up"));
    assert_eq!(alone.dialects.vertex_predict_route.as_deref(), Some("/ask"));
    let explicit = settings(&[file], &variables).unwrap();
    assert_eq!(explicit.server.listen, address("127.0.0.1:9"), "what is said for this place wins");
    assert_eq!(explicit.dialects.vertex_health_route.as_deref(), Some("/mine"));
    let elsewhere = settings(&[], &[]).unwrap();
    assert_eq!(elsewhere.server.listen, address("0.0.0.0:8000"));
    assert_eq!(elsewhere.dialects.vertex_predict_route, None);
    let wrong = settings(&[], &[("AIP_HTTP_PORT", "x"), ("AIP_PREDICT_ROUTE", "/{any}")]).unwrap_err();
    assert!(wrong.contains("environment variable AIP_HTTP_PORT: server.listen"), "{wrong}");
    assert!(
        wrong.contains("environment variable AIP_PREDICT_ROUTE: dialects.vertex_predict_route"),
        "{wrong}"
    );
}
