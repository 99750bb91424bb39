//! Switches, and platforms that know who calls.

use onnx_gateway::config::{DialectName, DialectSettings};
use reqwest::Method;
use serde_json::json;

use super::{ROWS, post, send};
use crate::support::{Answer, TestGateway, table};

async fn gateway(change: impl FnOnce(&mut DialectSettings)) -> TestGateway {
    TestGateway::builder().settings(|settings| change(&mut settings.dialects)).start().await
}

async fn anonymous(gateway: &TestGateway, method: Method, path: &str) -> Answer {
    let request = gateway.client.request(method, gateway.url(path)).json(&json!({"instances": ROWS}));
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_dialect_that_is_switched_off_is_not_there() {
    let gateway = gateway(|dialects| {
        dialects.kserve_v1 = false;
        dialects.mlflow = false;
        dialects.sagemaker = false;
        dialects.vertex = false;
        dialects.vertex_health_route = Some("/up".to_owned());
        dialects.vertex_predict_route = Some("/ask".to_owned());
    })
    .await;
    let cases = [
        (Method::GET, "/v1/models", 404, "error"),
        (Method::POST, "/v1/models/iris:predict", 404, "error"),
        (Method::GET, "/ping", 404, "error_code"),
        (Method::GET, "/version", 404, "error_code"),
        (Method::POST, "/invocations", 404, "error_code"),
        (Method::POST, "/models/iris/invoke", 404, "error"),
        (Method::POST, "/models", 405, "error"),
        (Method::DELETE, "/models/iris", 405, "error"),
        (Method::GET, "/up", 404, "detail"),
        (Method::POST, "/ask", 404, "detail"),
    ];
    table::each_async(cases, async |(method, path, status, field)| {
        let body = json!({"instances": ROWS}).to_string();
        let answer = send(&gateway, method, path, "application/json", body).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.body[field].is_string(), "{path}: {answer:?}");
    })
    .await;
    let description =
        Answer::of(gateway.client.get(gateway.url("/openapi.json")).send().await.unwrap()).await;
    let paths = description.body["paths"].as_object().unwrap();
    assert!(!paths.keys().any(|path| path.starts_with("/v1") || path == "/invocations"), "{paths:?}");
    let _ = gateway.reload(|settings| settings.dialects.mlflow = true);
    let answer = post(&gateway, "/invocations", &json!({"instances": ROWS})).await;
    assert_eq!(answer.status.as_u16(), 200, "a switch needs no restart: {answer:?}");
}

#[tokio::test]
async fn each_of_two_that_share_a_path_can_be_there_alone() {
    let frame = json!({"dataframe_split": {"data": ROWS}});
    let tensor = json!({"name": "features", "shape": [3, 4], "datatype": "FP32", "data": ROWS});
    let named = json!({"inputs": [tensor]});
    let mlflow = gateway(|dialects| dialects.sagemaker = false).await;
    assert_eq!(post(&mlflow, "/invocations", &frame).await.status.as_u16(), 200);
    assert_eq!(post(&mlflow, "/invocations", &named).await.status.as_u16(), 400);
    let binary = "application/vnd.sagemaker-triton.binary+json;json-header-size=2";
    assert_eq!(send(&mlflow, Method::POST, "/invocations", binary, "{}").await.status.as_u16(), 415);
    let sagemaker = gateway(|dialects| dialects.mlflow = false).await;
    assert_eq!(post(&sagemaker, "/invocations", &frame).await.status.as_u16(), 400);
    assert_eq!(post(&sagemaker, "/invocations", &named).await.status.as_u16(), 200);
    assert_eq!(send(&sagemaker, Method::POST, "/invocations", "text/csv", "a").await.status.as_u16(), 415);
    assert_eq!(anonymous(&sagemaker, Method::GET, "/ping").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_platform_that_authenticates_lets_only_predictions_through() {
    let gateway = gateway(|dialects| {
        dialects.vertex_predict_route = Some("/ask".to_owned());
        dialects.platform_authenticates =
            vec![DialectName::KserveV1, DialectName::Sagemaker, DialectName::Vertex];
    })
    .await;
    for path in ["/v1/models/iris:predict", "/invocations", "/models/iris/invoke", "/ask"] {
        let answer = anonymous(&gateway, Method::POST, path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {answer:?}");
    }
    let cases = [
        (Method::GET, "/v1/models"),
        (Method::GET, "/v1/models/iris"),
        (Method::GET, "/v1/models/iris/metadata"),
        (Method::GET, "/models"),
        (Method::POST, "/models"),
        (Method::DELETE, "/models/iris"),
        (Method::POST, "/models/iris/predict"),
        (Method::POST, "/models/iris/rollback"),
        (Method::POST, "/predict"),
        (Method::POST, "/v2/models/iris/infer"),
        (Method::GET, "/nothing"),
    ];
    table::each_async(cases, async |(method, path)| {
        let answer = anonymous(&gateway, method, path).await;
        assert_eq!(answer.status.as_u16(), 401, "{path}: {answer:?}");
    })
    .await;
    let _ = gateway.reload(|settings| settings.dialects.platform_authenticates.clear());
    for path in ["/v1/models/iris:predict", "/invocations", "/models/iris/invoke", "/ask"] {
        assert_eq!(anonymous(&gateway, Method::POST, path).await.status.as_u16(), 401, "{path}");
    }
}

#[tokio::test]
async fn the_quota_of_the_address_counts_for_platforms_too() {
    let gateway = TestGateway::builder().settings(|settings| {
        settings.dialects.platform_authenticates = vec![DialectName::Mlflow];
        settings.dialects.vertex_predict_route = Some("/ask".to_owned());
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address.requests = 2;
        settings.rate_limit.per_address.period_seconds = 3600;
    });
    let gateway = gateway.start().await;
    assert_eq!(anonymous(&gateway, Method::POST, "/invocations").await.status.as_u16(), 200);
    assert_eq!(anonymous(&gateway, Method::POST, "/invocations").await.status.as_u16(), 200);
    let answer = anonymous(&gateway, Method::POST, "/invocations").await;
    assert_eq!((answer.status.as_u16(), &answer.body["error_code"]), (429, &json!("REQUEST_LIMIT_EXCEEDED")));
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    for path in ["/v1/models/iris:predict", "/ask"] {
        let answer = anonymous(&gateway, Method::POST, path).await;
        assert_eq!(answer.status.as_u16(), 429, "{path}: {answer:?}");
        assert!(answer.body["error"].is_string(), "{answer:?}");
    }
    assert_eq!(anonymous(&gateway, Method::GET, "/ping").await.status.as_u16(), 200, "probes are spared it");
}

#[tokio::test]
async fn large_bodies_and_encodings_are_refused_in_the_form_of_the_dialect() {
    let gateway = TestGateway::builder().settings(|settings| {
        settings.server.max_tensor_body_bytes = 1000;
        settings.dialects.vertex_predict_route = Some("/ask".to_owned());
    });
    let gateway = gateway.start().await;
    let large = json!({"instances": vec![[1.5; 4]; 100]});
    for path in ["/v1/models/iris:predict", "/models/iris/invoke", "/ask"] {
        let answer = post(&gateway, path, &large).await;
        assert_eq!(answer.status.as_u16(), 413, "{path}: {answer:?}");
        assert_eq!(answer.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{answer:?}");
        let request = gateway.post(path).header("content-encoding", "br").body("x");
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status.as_u16(), 415, "{path}: {answer:?}");
        assert!(answer.body["error"].is_string(), "{answer:?}");
    }
}
