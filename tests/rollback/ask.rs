//! Asking one model with one value, in every form, and seeing what serves.

use onnx_gateway::{grpc::proto::ModelInferRequest, model::Digest};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use super::support::{
    TestGateway,
    grpc::{Client, input},
    tokens::TokenBuilder,
};

/// How a value is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// As the one row.
    Row,
    /// As one of several rows.
    Rows,
    /// As a tensor of the native API.
    Tensor,
    /// As a tensor of the Open Inference Protocol.
    OpenInference,
    /// As an instance of TensorFlow Serving's API.
    Instances,
    /// As a line of CSV.
    Csv,
    /// By gRPC; for numbers only.
    Grpc,
}

impl Form {
    pub const ALL: [Self; 7] =
        [Self::Row, Self::Rows, Self::Tensor, Self::OpenInference, Self::Instances, Self::Csv, Self::Grpc];
}

/// A caller who may ask and nothing else.
pub struct Asker<'g> {
    gateway: &'g TestGateway,
    form: Form,
    token: String,
    grpc: Client,
    input: String,
    datatype: String,
}

/// A model `m` that was deployed over this one, and serves.
pub async fn deployed(first: &str, second: &[u8]) -> TestGateway {
    let gateway = TestGateway::builder_without_models().model("m/1/model.onnx", first).start().await;
    gateway.repository.put("m/1/model.onnx", second);
    let digest = json!(Digest::of(second).short());
    gateway.version_until("m", |version| version["digest"] == digest).await;
    gateway
}

/// A caller of this name.
pub fn asker<'g>(gateway: &'g TestGateway, name: &str, form: Form) -> Asker<'g> {
    let token = TokenBuilder::new().claim("sub", json!(name)).scope("predict");
    let (input, datatype) = ("x".to_owned(), "FP32".to_owned());
    Asker { gateway, form, token: token.build(), grpc: gateway.grpc_with(&token), input, datatype }
}

impl Asker<'_> {
    /// The status of the answer, for gRPC the one of HTTP that it stands for.
    pub async fn ask(&self, value: &Value) -> StatusCode {
        let (input, datatype) = match value {
            Value::String(_) => ("town", "BYTES"),
            Value::Number(number) if !number.is_f64() => ("number", "INT64"),
            _ => (self.input.as_str(), self.datatype.as_str()),
        };
        let tensor = json!({"name": input, "datatype": datatype, "shape": [1, 1], "data": [value]});
        let (path, body) = match self.form {
            Form::Row => ("/models/m/predict", json!({"features": [value]})),
            Form::Rows => ("/models/m/predict", json!({"instances": [[value], [value]]})),
            Form::Tensor => ("/models/m/predict", json!({"inputs": {input: [[value]]}})),
            Form::OpenInference => ("/v2/models/m/infer", json!({"inputs": [tensor]})),
            Form::Instances => ("/v1/models/m:predict", json!({"instances": [[value]]})),
            Form::Csv => return self.csv(input, value).await,
            Form::Grpc => return self.grpc(value).await,
        };
        let request = self.gateway.client.post(self.gateway.url(path)).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        // A connection is used again once its answer was read.
        answer.bytes().await.unwrap();
        status
    }

    async fn csv(&self, input: &str, value: &Value) -> StatusCode {
        let url = self.gateway.url("/invocations");
        let request =
            self.gateway.client.post(url).bearer_auth(&self.token).header("content-type", "text/csv");
        request.body(format!("{input}\n{value}\n")).send().await.unwrap().status()
    }

    async fn grpc(&self, value: &Value) -> StatusCode {
        #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
        let value = value.as_f64().unwrap() as f32;
        let contents = super::support::grpc::fp32(&[value]);
        let request = ModelInferRequest {
            model_name: "m".to_owned(),
            inputs: vec![input(&self.input, &self.datatype, &[1, 1], Some(contents))],
            ..ModelInferRequest::default()
        };
        match self.grpc.clone().model_infer(request).await {
            Ok(_) => StatusCode::OK,
            Err(status) if status.code() == Code::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
            Err(status) if status.code() == Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Err(status) => panic!("{status}"),
        }
    }
}

/// Sees whether one file serves as `m`.
pub struct Serves<'g> {
    gateway: &'g TestGateway,
    digest: Value,
}

/// Whether this file serves as `m`.
pub fn serves<'g>(gateway: &'g TestGateway, content: &[u8]) -> Serves<'g> {
    Serves { gateway, digest: json!(Digest::of(content).short()) }
}

impl Serves<'_> {
    pub async fn now(&self) -> bool {
        self.gateway.version("m").await["digest"] == self.digest
    }
}

/// Waits until whatever was begun is dealt with: what serves is what served, and nothing was taken back.
pub async fn stays(gateway: &TestGateway, digest: &Value) {
    gateway.everything_is_dealt_with().await;
    assert_eq!(gateway.version("m").await["digest"], *digest);
    assert!(gateway.history("m").await.iter().all(|entry| entry["event"] != "rolled_back"));
}

/// Why this file was taken back, by the gateway itself.
pub async fn is_taken_back(gateway: &TestGateway, content: &[u8]) -> String {
    let history = gateway.history("m").await;
    let newest = &history[0];
    assert_eq!((&newest["event"], &newest["by"]), (&json!("rolled_back"), &json!("automatic")), "{newest}");
    assert_eq!(newest["replaces"], json!(Digest::of(content).to_string()));
    gateway.reason_until("m", "1", "rolled_back").await;
    newest["detail"].as_str().unwrap().to_owned()
}
