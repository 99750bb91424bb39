//! SageMaker: Triton's binary form, and several models behind one address.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ROWS, native, post, send};
use crate::support::{Answer, TestGateway, table, tokens::TokenBuilder};

const BINARY: &str = "application/vnd.sagemaker-triton.binary+json;json-header-size=";

fn tensor(parameters: &Value, data: Option<&Value>) -> Value {
    let mut tensor =
        json!({"name": "features", "shape": [3, 4], "datatype": "FP32", "parameters": parameters});
    if let Some(data) = data {
        tensor["data"] = data.clone();
    }
    tensor
}

fn little_endian() -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "the model takes them so")]
    let bytes = ROWS.iter().flatten().flat_map(|number| (*number as f32).to_le_bytes());
    bytes.collect()
}

#[tokio::test]
async fn named_tensors_are_a_request_of_the_open_inference_protocol() {
    let gateway = TestGateway::start().await;
    let (labels, probabilities) = native(&gateway).await;
    let body = json!({"id": "7", "inputs": [tensor(&json!({}), Some(&json!(ROWS)))]});
    let answer = post(&gateway, "/invocations", &body).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!((&answer.body["id"], &answer.body["model_name"]), (&json!("7"), &json!("iris")));
    assert_eq!(answer.body["outputs"][0]["data"], json!(labels));
    assert_eq!(answer.body["outputs"][1]["data"], json!(probabilities.concat()));

    let bytes = little_endian();
    let outputs = json!([{"name": "label", "parameters": {"binary_data": true}}]);
    let json =
        json!({"inputs": [tensor(&json!({"binary_data_size": bytes.len()}), None)], "outputs": outputs});
    let json = json.to_string();
    let body = [json.as_bytes(), &bytes].concat();
    let token = TokenBuilder::new().build();
    let request = gateway.client.post(gateway.url("/invocations")).bearer_auth(token);
    let content_type = format!("{BINARY}{}", json.len());
    let response = request.header("content-type", content_type).body(body).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let declared = response.headers()["content-type"].to_str().unwrap().to_owned();
    let length: usize = declared.strip_prefix(BINARY).unwrap().parse().unwrap();
    let answer = response.bytes().await.unwrap();
    let (json, binary) = answer.split_at(length);
    let json: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 24, "{json}");
    let expected: Vec<u8> = labels.iter().flat_map(|label| label.as_i64().unwrap().to_le_bytes()).collect();
    assert_eq!(binary, expected);
}

#[tokio::test]
async fn what_is_wrong_with_binary_requests_is_said() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("application/vnd.sagemaker-triton.binary+json".to_owned(), "{}", "json-header-size"),
        (format!("{BINARY}99"), "{}", "fewer than the JSON"),
        (format!("{BINARY}-1"), "{}", "json-header-size"),
        (format!("{BINARY}2"), "{}", "missing field `inputs`"),
        (format!("{BINARY}0"), "12345", "16 bytes"),
        (
            "application/json".to_owned(),
            r#"{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","data":[1,1,1,"x"]}]}"#,
            "/inputs/0/data/3",
        ),
    ];
    table::each_async(cases, async |(content_type, body, part)| {
        let answer = send(&gateway, Method::POST, "/invocations", &content_type, body).await;
        assert_eq!(answer.status.as_u16(), 400, "{content_type} {body}: {answer:?}");
        let message = answer.body["error"].as_str().unwrap();
        assert!(message.contains(part), "{content_type} {body}: {message}");
    })
    .await;
}

#[tokio::test]
async fn one_of_several_models_is_asked() {
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let body = json!({"instances": ROWS});
    let ask = |path: &'static str, target: Option<&'static str>| {
        let mut request = gateway.post(path).json(&body);
        if let Some(target) = target {
            request = request.header("X-Amzn-SageMaker-Target-Model", target);
        }
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let expected = ask("/models/iris/invoke", None).await;
    assert_eq!(expected.status.as_u16(), 200, "{expected:?}");
    let cases = [
        ("/models/10824f981efe06dc13de80b8ac9e8e0d/invoke", "iris.tar.gz"),
        ("/models/line/invoke", "/iris.tar.gz"),
        ("/invocations", "iris"),
    ];
    table::each_async(cases, async |(path, target)| {
        assert_eq!(ask(path, Some(target)).await.body, expected.body, "{path} {target}");
    })
    .await;
    let cases = [
        ("/models/nothing/invoke", None, 404),
        ("/models/iris/invoke", Some("nothing"), 404),
        ("/models/iris/invoke", Some("../iris"), 404),
        ("/models/%FF/invoke", None, 404),
    ];
    table::each_async(cases, async |(path, target, status)| {
        let answer = ask(path, target).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {target:?}: {answer:?}");
        assert_eq!(answer.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{answer:?}");
    })
    .await;
    let token = TokenBuilder::new().scope("predict:line").build();
    let request = gateway.client.post(gateway.url("/models/line/invoke")).bearer_auth(token).json(&body);
    let request = request.header("X-Amzn-SageMaker-Target-Model", "iris");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status.as_u16(), 403, "the model that is asked counts: {answer:?}");
}

#[tokio::test]
async fn models_of_the_repository_are_loaded_and_unloaded() {
    let gateway = TestGateway::builder().model("bad.onnx", "iris_nan_weights").start().await;
    let path = |name: &str| gateway.repository.path().join(name).to_str().unwrap().to_owned();
    let load = |name: &str, url: String, scope: &str| {
        let token = TokenBuilder::new().scope(scope).build();
        let body = json!({"model_name": name, "url": url});
        let request = gateway.client.post(gateway.url("/models")).bearer_auth(token).json(&body);
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let everything = "predict read manage";
    let cases = [
        ("iris", path("iris"), everything, 409),
        ("iris", path("iris/1/model.onnx"), "predict", 409),
        ("iris", path("bad.onnx"), everything, 400),
        ("iris", "/etc/passwd".to_owned(), everything, 400),
        ("iris", path("../iris"), everything, 400),
        ("../iris", path("iris"), everything, 400),
        ("bad", path("bad.onnx"), everything, 400),
        ("bad", path("bad.onnx"), "predict", 403),
        ("nothing", path("nothing"), everything, 404),
    ];
    table::each_async(cases, async |(name, url, scope, status)| {
        let answer = load(name, url.clone(), scope).await;
        assert_eq!(answer.status.as_u16(), status, "{name} {url} {scope}: {answer:?}");
        assert!(answer.body["error"].is_string(), "{answer:?}");
    })
    .await;
    let delete = |name: &str| {
        let request = gateway.client.delete(gateway.url(&format!("/models/{name}")));
        let request = request.bearer_auth(TokenBuilder::new().build());
        async { Answer::of(request.send().await.unwrap()).await }
    };
    assert_eq!(delete("nothing").await.status.as_u16(), 404);
    let unloaded = delete("iris").await;
    assert_eq!(unloaded.status.as_u16(), 200, "{unloaded:?}");
    let answer = post(&gateway, "/models/iris/invoke", &json!({"instances": ROWS})).await;
    assert_eq!(answer.status.as_u16(), 503, "{answer:?}");
    let loaded = load("iris", path("iris"), everything).await;
    assert_eq!(loaded.body, json!({"modelName": "iris", "modelUrl": path("iris")}), "{loaded:?}");
    let answer = post(&gateway, "/models/iris/invoke", &json!({"instances": ROWS})).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let listed = Answer::of(gateway.get("/models").send().await.unwrap()).await;
    assert!(listed.body["models"][0]["versions"].is_array(), "GET stays what it is: {listed:?}");
}
