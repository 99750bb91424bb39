//! A caller is told why a model refuses inputs, on every route, and that the same ones are refused again.

use onnx_gateway::protocols::open_inference::grpc::proto::{InferTensorContents, ModelInferRequest};
use serde_json::{Value, json};
use tonic::Code;

use super::ask::deployed;
use crate::support::{Answer, TestGateway, grpc::input, repository::test_model, table, tokens::TokenBuilder};

const REASON: &str = "the model refuses these inputs: Gather: indices element out of data bounds, idx=8 must be within \
                      the inclusive range [-6,5]";

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> Answer {
    let answer = Answer::of(gateway.post(path).json(body).send().await.unwrap()).await;
    // The other protocols know no 422.
    let expected = if path.ends_with("/predict") { 422 } else { 400 };
    assert_eq!(answer.status.as_u16(), expected, "{path}: {answer:?}");
    assert!(answer.headers.get("retry-after").is_none(), "it is of no use to try again");
    assert!(answer.text.contains(REASON), "{path}: {answer:?}");
    assert!(!answer.text.contains("onnxruntime") && !answer.text.contains(".cc"), "{answer:?}");
    answer
}

#[tokio::test]
async fn every_route_says_why_a_model_refuses_inputs_and_where_they_stand() {
    let gateway = TestGateway::builder_without_models().model("m/1/model.onnx", "lookup").start().await;
    let cases = [
        (json!({"features": [7]}), "/features"),
        (json!({"instances": [[1], [7]]}), "/instances"),
        (json!({"inputs": {"number": [[7]]}}), "/inputs/number"),
    ];
    table::each_async(cases, async |(body, pointer)| {
        let answer = post(&gateway, "/models/m/predict", &body).await;
        assert_eq!(answer.problem_code(), "inputs_refused", "{body}");
        assert_eq!(answer.body["detail"], REASON, "{body}");
        assert_eq!(answer.errors(), [(pointer.to_owned(), "inputs_refused".to_owned())], "{body}");
    })
    .await;
    let tensor = json!({"name": "number", "datatype": "INT64", "shape": [2, 1], "data": [1, 7]});
    let cases = [
        ("/v2/models/m/infer", json!({"inputs": [tensor]}), "error"),
        ("/v1/models/m:predict", json!({"instances": [[7]]}), "error"),
        ("/v1/models/m:predict", json!({"inputs": [[7]]}), "error"),
        ("/invocations", json!({"instances": [[7]]}), "message"),
        ("/invocations", json!({"inputs": [[7]]}), "message"),
        ("/models/m/invoke", json!({"inputs": [tensor]}), "error"),
    ];
    table::each_async(cases, async |(path, body, key)| {
        let answer = post(&gateway, path, &body).await;
        assert!(answer.body[key].as_str().is_some_and(|text| text.starts_with(REASON)), "{path}: {answer:?}");
    })
    .await;
    let contents = InferTensorContents { int64_contents: vec![7], ..InferTensorContents::default() };
    let request = ModelInferRequest {
        model_name: "m".to_owned(),
        inputs: vec![input("number", "INT64", &[1, 1], Some(contents))],
        ..ModelInferRequest::default()
    };
    let status = gateway.grpc_with(&TokenBuilder::new()).model_infer(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with(REASON), "{status}");
}

#[tokio::test]
async fn only_the_request_that_is_refused_is_told_so() {
    let gateway = deployed("lookup", &test_model("lookup_smaller")).await;
    let ask = async |number: i64| {
        let answer = gateway.predict_at("/models/row/predict", &json!({"features": [number]})).await;
        (number, answer.status.as_u16())
    };
    let answers = futures_util::future::join_all((0..200).map(|number| ask(number % 4))).await;
    for (number, status) in answers {
        assert_eq!(status, if number < 3 { 200 } else { 422 }, "{number}");
    }
}

#[tokio::test]
async fn a_category_that_the_model_does_not_know_is_the_callers_to_change() {
    let gateway = TestGateway::builder_without_models().model("m/1/model.onnx", "towns").start().await;
    let good = gateway.predict_at("/models/m/predict", &json!({"features": ["Bern"]})).await;
    assert_eq!(good.body["prediction"], json!([0.0, 1.0]), "{good:?}");
    for body in [json!({"features": ["Zug"]}), json!({"inputs": {"town": [["Zug"]]}})] {
        let answer = gateway.predict_at("/models/m/predict", &body).await;
        assert_eq!(answer.status.as_u16(), 422, "{answer:?}");
    }
}
