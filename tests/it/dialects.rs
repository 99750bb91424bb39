//! The dialects of other servers: the same answers as our own, in their words.

mod access;
mod mlflow;
mod mutations;
mod sagemaker;
mod tensorflow;
mod vertex;

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{Answer, TestGateway};

/// Rows of the Iris model.
const ROWS: [[f64; 4]; 3] = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 2.8, 4.3, 1.3]];

/// The numbers that the native dialect answers to [`ROWS`]: label and probabilities of each row.
async fn native(gateway: &TestGateway) -> (Vec<Value>, Vec<Vec<Value>>) {
    let answer = gateway.predict(&json!({"inputs": {"features": ROWS}})).await;
    let data = |name: &str| answer.body["outputs"][name]["data"].as_array().unwrap().clone();
    let probabilities = data("probabilities").chunks(3).map(<[Value]>::to_vec).collect();
    (data("label"), probabilities)
}

/// A gateway with one model of `tests/models/kinds`.
async fn gateway(kind: &str) -> TestGateway {
    let file = format!("{}.onnx", kind.replace('_', "-"));
    TestGateway::builder_without_models().model(&file, &format!("kinds/{kind}")).start().await
}

/// Sends a body as it is.
async fn send(
    gateway: &TestGateway,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let token = crate::support::tokens::TokenBuilder::new().build();
    let request = gateway.client.request(method, gateway.url(path)).bearer_auth(token);
    Answer::of(request.header(CONTENT_TYPE, content_type).body(body).send().await.unwrap()).await
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> Answer {
    send(gateway, Method::POST, path, "application/json", body.to_string()).await
}

/// What is answered to a body that is right.
async fn ask(gateway: &TestGateway, path: &str, body: &Value) -> Value {
    let answer = post(gateway, path, body).await;
    assert_eq!(answer.status.as_u16(), 200, "{body}: {answer:?}");
    assert_eq!(answer.header("x-model-digest").len(), 12, "{answer:?}");
    answer.body
}
