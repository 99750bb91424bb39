//! Bodies of requests as clients really send them: compressed, with marks, nulls, and numbers written in many ways.

mod compressed;
mod csv;
mod names;
mod nulls;
mod numbers;
mod words;

use reqwest::header::CONTENT_TYPE;

use crate::support::{Answer, CLIENT_ID, CLIENT_SECRET, TestGateway};

const JSON: &str = "application/json";
const VERTEX: &str = "/vertex/predict";
const V2: &str =
    r#"{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}"#;

/// Every route that reads a body, with a content type and a body that is answered 200.
fn routes() -> Vec<(&'static str, &'static str, String)> {
    let form = "application/x-www-form-urlencoded";
    let client = format!(
        "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={}",
        CLIENT_SECRET.replace(' ', "+")
    );
    let client_json = format!(
        r#"{{"grant_type":"client_credentials","client_id":"{CLIENT_ID}","client_secret":"{CLIENT_SECRET}"}}"#
    );
    let native = r#"{"features":[5.1,3.5,1.4,0.2]}"#;
    let rows = r#"{"instances":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}"#;
    let examples =
        r#"{"examples":[{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}]}"#;
    let csv = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n";
    [
        ("/predict", JSON, native),
        ("/models/iris/predict", JSON, rows),
        ("/models/iris/versions/1/predict", JSON, native),
        ("/token", form, &client),
        ("/token", JSON, &client_json),
        ("/v2/models/iris/infer", JSON, V2),
        ("/v2/models/iris/versions/1/infer", JSON, V2),
        ("/v2/repository/index", JSON, r#"{"ready":true}"#),
        ("/v2/repository/models/iris/load", JSON, r#"{"parameters":{}}"#),
        ("/v1/models/iris:predict", JSON, rows),
        ("/v1/models/iris/versions/1:classify", JSON, examples),
        ("/invocations", JSON, rows),
        ("/invocations", JSON, V2),
        ("/invocations", "text/csv", csv),
        ("/models/iris/invoke", "text/csv", csv),
        (VERTEX, JSON, rows),
    ]
    .map(|(path, kind, body)| (path, kind, body.to_owned()))
    .to_vec()
}

/// A gateway that has all of them.
async fn gateway() -> TestGateway {
    let builder = TestGateway::builder().settings(|settings| {
        settings.dialects.vertex_predict_route = Some(VERTEX.to_owned());
        settings.dialects.vertex_health_route = Some("/vertex/health".to_owned());
    });
    builder.start().await
}

/// A gateway with one model of `tests/models/kinds`, under that name.
async fn gateway_of(kind: &str) -> TestGateway {
    TestGateway::builder_without_models()
        .model(&format!("{kind}.onnx"), &format!("kinds/{kind}"))
        .start()
        .await
}

/// Sends a body with further headers.
async fn send(
    gateway: &TestGateway,
    path: &str,
    kind: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Answer {
    let request = if path == "/token" { gateway.client.post(gateway.url(path)) } else { gateway.post(path) };
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Answer::of(request.header(CONTENT_TYPE, kind).body(body.into()).send().await.unwrap()).await
}

/// The sentence of an error, whatever form it has.
fn sentence(answer: &Answer) -> String {
    let body = &answer.body;
    let listed = body["errors"].as_array().cloned().unwrap_or_default();
    let listed = listed.iter().map(|error| format!("{}: {}", error["pointer"], error["message"]));
    let said = [&body["detail"], &body["error"], &body["error_description"], &body["message"]];
    said.into_iter()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .chain(listed)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What an answer says, without what differs each time.
fn without_token(mut answer: Answer) -> serde_json::Value {
    if let Some(token) = answer.body.get_mut("access_token") {
        *token = "TOKEN".into();
    }
    answer.body
}
