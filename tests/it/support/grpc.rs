//! A client of the gRPC transport, made of the same description as the service.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use onnx_gateway::protocols::open_inference::grpc::proto::{
    InferParameter, InferTensorContents, ModelInferRequest,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};
use tonic::{
    Code, Request, Status,
    body::Body,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
};

use super::{TestGateway, tokens::TokenBuilder};

#[expect(clippy::allow_attributes_without_reason, reason = "it is generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/client/inference.rs"));
}

pub use generated::grpc_inference_service_client::GrpcInferenceServiceClient;

pub type Http = HyperClient<HttpConnector, Body>;
pub type Client = GrpcInferenceServiceClient<InterceptedService<Http, Bearer>>;

/// Sends a token with each call, or none.
#[derive(Clone)]
pub struct Bearer(pub Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// What speaks HTTP/2 and nothing else.
pub fn http() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    HyperClient::builder(TokioExecutor::new()).http2_only(true).build(connector)
}

/// A client at this address.
pub fn client_at(address: std::net::SocketAddr, token: Option<String>) -> Client {
    let origin = format!("http://{address}").parse().unwrap();
    let service = InterceptedService::new(http(), Bearer(token));
    GrpcInferenceServiceClient::with_origin(service, origin).max_decoding_message_size(usize::MAX)
}

impl TestGateway {
    /// A client with a token that has every scope.
    pub fn grpc(&self) -> Client {
        self.grpc_with(&TokenBuilder::new())
    }

    /// A client with this token.
    pub fn grpc_with(&self, token: &TokenBuilder) -> Client {
        client_at(self.grpc_address(), Some(token.build()))
    }

    /// A client without a token.
    pub fn grpc_without_token(&self) -> Client {
        client_at(self.grpc_address(), None)
    }
}

/// The rows of a setosa, as raw bytes.
pub fn setosa_raw() -> ModelInferRequest {
    let row = [5.1_f32, 3.5, 1.4, 0.2];
    let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
    ModelInferRequest {
        model_name: "iris".to_owned(),
        inputs: vec![input("features", "FP32", &[1, 4], None)],
        raw_input_contents: vec![bytes.into()],
        ..ModelInferRequest::default()
    }
}

/// The same with its elements in the field for their type.
pub fn setosa_typed() -> ModelInferRequest {
    ModelInferRequest {
        model_name: "iris".to_owned(),
        inputs: vec![input("features", "FP32", &[1, 4], Some(fp32(&[5.1, 3.5, 1.4, 0.2])))],
        ..ModelInferRequest::default()
    }
}

pub fn fp32(numbers: &[f32]) -> InferTensorContents {
    InferTensorContents { fp32_contents: numbers.to_vec(), ..InferTensorContents::default() }
}

pub fn input(
    name: &str,
    datatype: &str,
    shape: &[i64],
    contents: Option<InferTensorContents>,
) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents,
        ..InferInputTensor::default()
    }
}

pub fn requested(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor { name: name.to_owned(), ..InferRequestedOutputTensor::default() }
}

pub fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter { parameter_choice: Some(choice) }
}

/// A request that waits no longer than this.
pub fn within<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// Sends bytes in place of a message; answers HTTP's status and headers with trailers.
pub async fn raw_call(
    gateway: &TestGateway,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, HeaderMap) {
    raw_call_over(&http(), gateway, headers, body).await
}

/// The same over the connections of this client.
pub async fn raw_call_over(
    http: &Http,
    gateway: &TestGateway,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, HeaderMap) {
    let path = "inference.GRPCInferenceService/ModelInfer";
    let mut request = axum::http::Request::post(format!("http://{}/{path}", gateway.grpc_address()))
        .header("authorization", format!("Bearer {}", TokenBuilder::new().build()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::new(Full::new(body.into()).map_err(|never| match never {}));
    let (parts, body) = http.request(request.body(body).unwrap()).await.unwrap().into_parts();
    let mut headers = parts.headers;
    headers.extend(body.collect().await.unwrap().trailers().cloned().unwrap_or_default());
    (parts.status, headers)
}

pub const GRPC: (&str, &str) = ("content-type", "application/grpc");

pub fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

pub fn code(headers: &HeaderMap) -> Code {
    Code::from_bytes(headers["grpc-status"].as_bytes())
}
