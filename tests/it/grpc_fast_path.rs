//! Common calls over gRPC take a fast path past the layers. Each is sent along both paths here, and all of the responses
//! is compared.

use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use onnx_gateway::protocols::open_inference::grpc::proto::{
    ModelInferRequest, infer_parameter::ParameterChoice,
};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, body::Body};

use crate::{
    fast_path::quotas,
    support::{
        TestGateway,
        grpc::{GRPC, Http, code, fp32, framed, http, input, parameter, requested, setosa_raw, setosa_typed},
        table,
        tokens::{TokenBuilder, now},
    },
};

/// A header that no layer reads today and another version may.
const UNKNOWN: (&str, &str) = ("x-tenant", "a");

/// An answer as it came.
#[derive(Debug, PartialEq)]
struct Raw {
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Raw {
    fn code(&self) -> Code {
        code(self.trailers.as_ref().unwrap_or(&self.headers))
    }

    /// Without what differs from one answer to the next.
    fn comparable(mut self) -> Self {
        for name in ["date", "x-request-id", "retry-after", "ratelimit"] {
            self.headers.remove(name);
        }
        if self.code() == Code::ResourceExhausted {
            self.headers.remove("grpc-message");
        }
        self
    }
}

async fn ask(http: &Http, gateway: &TestGateway, headers: &[(&str, &str)], body: &[u8]) -> Raw {
    let path = "inference.GRPCInferenceService/ModelInfer";
    let request = Request::post(format!("http://{}/{path}", gateway.grpc_address()));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let body = Full::new(Bytes::copy_from_slice(body)).map_err(|never| match never {});
    let answer = http.request(request.body(Body::new(body)).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    assert_eq!(parts.status, 200);
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    Raw { headers: parts.headers, body: body.to_bytes(), trailers }
}

/// Sends a call along both paths, and returns the response that both gave.
async fn compare(gateway: &TestGateway, headers: &[(&str, &str)], body: &[u8]) -> Raw {
    let http = http();
    let fast = ask(&http, gateway, headers, body).await;
    let slow = ask(&http, gateway, &[headers, &[UNKNOWN]].concat(), body).await;
    let id = |raw: &Raw| raw.headers["x-request-id"].len();
    assert_eq!(id(&fast), id(&slow));
    let slow = slow.comparable();
    let fast = fast.comparable();
    assert_eq!(fast, slow, "{headers:?}");
    fast
}

fn bearer() -> String {
    format!("Bearer {}", TokenBuilder::new().build())
}

fn message(request: &ModelInferRequest) -> Vec<u8> {
    framed(0, &request.encode_to_vec())
}

#[tokio::test]
async fn every_message_is_answered_alike() {
    let gateway = TestGateway::builder().model("square_root.onnx", "square_root").start().await;
    let token = bearer();
    let headers = [GRPC, ("te", "trailers"), ("authorization", token.as_str())];
    assert_eq!(ask(&http(), &gateway, &headers, &message(&setosa_raw())).await.code(), Code::Ok);
    let root = |number: f32| ModelInferRequest {
        model_name: "square_root".to_owned(),
        inputs: vec![input("x", "FP32", &[1, 1], Some(fp32(&[number])))],
        ..ModelInferRequest::default()
    };
    let with = |change: fn(&mut ModelInferRequest)| {
        let mut request = setosa_raw();
        request.id = "one".to_owned();
        change(&mut request);
        request
    };
    let rows = |count: i64| ModelInferRequest {
        inputs: vec![input("features", "FP32", &[count, 4], None)],
        raw_input_contents: vec![vec![0; usize::try_from(count).unwrap() * 16].into()],
        ..setosa_raw()
    };
    let cases = [
        (setosa_raw(), Code::Ok),
        (setosa_typed(), Code::Ok),
        (rows(300), Code::Ok),
        (rows(3000), Code::Ok),
        (rows(30_000), Code::Ok),
        (with(|_| {}), Code::Ok),
        (with(|request| request.model_version = "1".to_owned()), Code::Ok),
        (with(|request| request.model_version = "9".to_owned()), Code::NotFound),
        (with(|request| request.model_version = "no version".to_owned()), Code::NotFound),
        (with(|request| request.model_name = "rose".to_owned()), Code::NotFound),
        (with(|request| request.model_name = String::new()), Code::NotFound),
        (with(|request| request.outputs = vec![requested("label")]), Code::Ok),
        (with(|request| request.outputs = vec![requested("rose")]), Code::InvalidArgument),
        (with(|request| request.inputs.clear()), Code::InvalidArgument),
        (with(|request| request.raw_input_contents.clear()), Code::InvalidArgument),
        (
            with(|request| {
                let late = parameter(ParameterChoice::StringParam("late".to_owned()));
                request.parameters.insert("timeout".to_owned(), late);
            }),
            Code::InvalidArgument,
        ),
        (root(9.0), Code::Ok),
        (root(-1.0), Code::InvalidArgument),
    ];
    table::each_async(cases, async |(request, expected)| {
        let answer = compare(&gateway, &headers, &message(&request)).await;
        assert_eq!(answer.code(), expected, "{answer:?}");
    })
    .await;
    let sound = message(&setosa_raw());
    let (malformed, empty) = (framed(0, b"no message"), framed(0, b""));
    for (body, expected) in [
        (&b""[..], Code::Internal),
        (&sound[..sound.len() - 1], Code::Internal),
        (&malformed[..], Code::InvalidArgument),
        (&empty[..], Code::NotFound),
    ] {
        let answer = compare(&gateway, &headers, body).await;
        assert_eq!(answer.code(), expected, "{body:?}: {answer:?}");
    }
}

#[tokio::test]
async fn every_header_is_heeded_alike() {
    let gateway = TestGateway::start().await;
    let token = bearer();
    let (other, reader) =
        (TokenBuilder::new().scope("predict:other").build(), TokenBuilder::new().scope("read").build());
    let (other, reader) = (format!("Bearer {other}"), format!("Bearer {reader}"));
    let expired = TokenBuilder::new().claim("exp", json!(now() - 600)).build();
    let expired = format!("Bearer {expired}");
    let body = message(&setosa_raw());
    let authorized = ("authorization", token.as_str());
    for (headers, expected) in [
        (vec![GRPC, authorized], Code::Ok),
        (vec![("content-type", "application/grpc+proto"), authorized], Code::Ok),
        (vec![GRPC, authorized, ("grpc-accept-encoding", "gzip, identity")], Code::Ok),
        (vec![GRPC, authorized, ("grpc-encoding", "identity")], Code::Ok),
        (vec![GRPC, authorized, ("grpc-timeout", "5S")], Code::Ok),
        (vec![GRPC, authorized, ("grpc-timeout", "soon")], Code::InvalidArgument),
        (vec![GRPC], Code::Unauthenticated),
        (vec![GRPC, authorized, authorized], Code::InvalidArgument),
        (vec![GRPC, ("authorization", other.as_str())], Code::PermissionDenied),
        (vec![GRPC, ("authorization", reader.as_str())], Code::PermissionDenied),
        (vec![GRPC, ("authorization", expired.as_str())], Code::Unauthenticated),
    ] {
        // Twice, since a token is not known before it was verified.
        for _ in 0..2 {
            let answer = compare(&gateway, &headers, &body).await;
            assert_eq!(answer.code(), expected, "{headers:?}: {answer:?}");
        }
    }
    let id = [GRPC, authorized, ("x-request-id", "order-4711")];
    let answer = ask(&http(), &gateway, &id, &body).await;
    assert_eq!(answer.headers["x-request-id"], "order-4711");
}

#[tokio::test]
async fn both_ways_charge_the_same_quotas_and_are_counted_alike() {
    for (address, caller) in [(4, 1000), (1000, 4)] {
        let gateway = TestGateway::builder().settings(quotas(address, caller)).start().await;
        let token = bearer();
        let headers = [GRPC, ("authorization", token.as_str())];
        for _ in 0..2 {
            assert_eq!(compare(&gateway, &headers, &message(&setosa_raw())).await.code(), Code::Ok);
        }
        let answer = compare(&gateway, &headers, &message(&setosa_raw())).await;
        assert_eq!(answer.code(), Code::ResourceExhausted, "{answer:?}");
        let metrics =
            gateway.metrics_until(|metrics| metrics.contains("gateway_requests_in_flight 0\n")).await;
        for (status, count) in [("OK", 4), ("RESOURCE_EXHAUSTED", 2)] {
            let line = format!(
                "gateway_requests_total{{method=\"POST\",\
                 route=\"/inference.GRPCInferenceService/ModelInfer\",status=\"{status}\"}} {count}"
            );
            assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
        }
    }
}

#[tokio::test]
async fn both_ways_are_in_the_statistics_once() {
    let gateway = TestGateway::start().await;
    let token = bearer();
    let headers = [GRPC, ("authorization", token.as_str())];
    let statistics = async || {
        let answer = gateway.get("/v2/models/iris/stats").send().await.unwrap();
        let statistics: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        statistics["model_stats"][0]["inference_count"].as_u64().unwrap()
    };
    let before = statistics().await;
    for _ in 0..3 {
        compare(&gateway, &headers, &message(&setosa_raw())).await;
    }
    assert_eq!(statistics().await - before, 6);
    assert!(gateway.grpc().model_infer(setosa_raw()).await.is_ok());
    assert_eq!(statistics().await - before, 7);
}
