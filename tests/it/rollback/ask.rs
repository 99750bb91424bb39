//! Asking one model with one value, in every form, and seeing what serves.

use onnx_gateway::{
    model::Digest,
    protocols::open_inference::grpc::proto::{InferTensorContents, ModelInferRequest},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    TestGateway,
    grpc::{Client, input},
    tokens::TokenBuilder,
};

/// The forms in which a value is asked.
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

    /// The model that is asked so.
    fn model(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Rows => "rows",
            Self::Tensor => "tensor",
            Self::OpenInference => "open_inference",
            Self::Instances => "instances",
            Self::Csv => "csv",
            Self::Grpc => "grpc",
        }
    }
}

/// A caller who may ask and nothing else.
pub struct Asker<'g> {
    gateway: &'g TestGateway,
    form: Form,
    token: String,
    grpc: Client,
}

/// A model for [`Form::Row`] that was deployed over another, and serves.
pub async fn deployed(first: &str, second: &[u8]) -> TestGateway {
    deployed_for(&[Form::Row], first, second).await
}

/// As [`deployed`], a model for each form.
pub async fn deployed_for_all(first: &str, second: &[u8]) -> TestGateway {
    deployed_for(&Form::ALL, first, second).await
}

async fn deployed_for(forms: &[Form], first: &str, second: &[u8]) -> TestGateway {
    let mut builder = TestGateway::builder_without_models();
    for form in forms {
        builder = builder.model(&format!("{}/1/model.onnx", form.model()), first);
    }
    let gateway = builder.start().await;
    for form in forms {
        gateway.repository.put(&format!("{}/1/model.onnx", form.model()), second);
    }
    let digest = json!(Digest::of(second).short());
    for form in forms {
        gateway.version_until(form.model(), |version| version["digest"] == digest).await;
    }
    gateway
}

/// A caller of this name.
pub fn asker<'g>(gateway: &'g TestGateway, name: &str, form: Form) -> Asker<'g> {
    let token = TokenBuilder::new().claim("sub", json!(name)).scope("predict");
    Asker { gateway, form, token: token.build(), grpc: gateway.grpc_with(&token) }
}

impl Asker<'_> {
    /// The status of the answer; in other protocols than the native one, the native status that it stands for.
    pub async fn ask(&self, value: &Value) -> StatusCode {
        match self.status(value).await {
            StatusCode::BAD_REQUEST => StatusCode::UNPROCESSABLE_ENTITY,
            status => status,
        }
    }

    async fn status(&self, value: &Value) -> StatusCode {
        let (input, datatype) = match value {
            Value::String(_) => ("town", "BYTES"),
            Value::Number(number) if !number.is_f64() => ("number", "INT64"),
            _ => ("x", "FP32"),
        };
        let tensor = json!({"name": input, "datatype": datatype, "shape": [1, 1], "data": [value]});
        let model = self.form.model();
        let native = format!("/models/{model}/predict");
        let (path, body) = match self.form {
            Form::Row => (native, json!({"features": [value]})),
            Form::Rows => (native, json!({"instances": [[value], [value]]})),
            Form::Tensor => (native, json!({"inputs": {input: [[value]]}})),
            Form::OpenInference => (format!("/v2/models/{model}/infer"), json!({"inputs": [tensor]})),
            Form::Instances => (format!("/v1/models/{model}:predict"), json!({"instances": [[value]]})),
            Form::Csv => return self.csv(value).await,
            Form::Grpc => return self.grpc(input, value).await,
        };
        let request = self.gateway.client.post(self.gateway.url(&path)).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        // A connection is used again once its answer was read.
        answer.bytes().await.unwrap();
        status
    }

    async fn csv(&self, value: &Value) -> StatusCode {
        let url = self.gateway.url("/models/csv/invoke");
        let request =
            self.gateway.client.post(url).bearer_auth(&self.token).header("content-type", "text/csv");
        let answer = request.body(format!("0\n{value}\n")).send().await.unwrap();
        let status = answer.status();
        answer.bytes().await.unwrap();
        status
    }

    async fn grpc(&self, name: &str, value: &Value) -> StatusCode {
        let mut contents = InferTensorContents::default();
        let datatype = if let Some(number) = value.as_i64() {
            contents.int64_contents.push(number);
            "INT64"
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
            contents.fp32_contents.push(value.as_f64().unwrap() as f32);
            "FP32"
        };
        let request = ModelInferRequest {
            model_name: "grpc".to_owned(),
            inputs: vec![input(name, datatype, &[1, 1], Some(contents))],
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

/// Sees whether one file serves as the model that a caller asks.
pub struct Serves<'g> {
    gateway: &'g TestGateway,
    model: &'static str,
    digest: Value,
}

impl<'g> Serves<'g> {
    pub fn of(asker: &Asker<'g>, content: &[u8]) -> Self {
        let digest = json!(Digest::of(content).short());
        Self { gateway: asker.gateway, model: asker.form.model(), digest }
    }

    pub async fn now(&self) -> bool {
        self.gateway.version(self.model).await["digest"] == self.digest
    }
}

/// Waits until whatever was begun is dealt with: this file serves as each model, and nothing was taken back.
pub async fn stays(gateway: &TestGateway, content: &[u8]) {
    gateway.everything_is_dealt_with().await;
    let digest = json!(Digest::of(content).short());
    for model in Form::ALL.map(Form::model) {
        let version = gateway.version(model).await;
        if version.is_null() {
            continue;
        }
        assert_eq!(version["digest"], digest, "{model}");
        let history = gateway.history(model).await;
        assert!(history.iter().all(|entry| entry["event"] != "rolled_back"), "{history:?}");
    }
}

/// Why this file was taken back, by the gateway itself.
pub async fn is_taken_back(asker: &Asker<'_>, content: &[u8]) -> String {
    let (gateway, model) = (asker.gateway, asker.form.model());
    let history = gateway.history(model).await;
    let newest = &history[0];
    assert_eq!((&newest["event"], &newest["by"]), (&json!("rolled_back"), &json!("automatic")), "{newest}");
    assert_eq!(newest["replaces"], json!(Digest::of(content).to_string()));
    gateway.reason_until(model, "1", "rolled_back").await;
    newest["detail"].as_str().unwrap().to_owned()
}
