//! Traces of requests, as a collector gets them, and the times that clients ask for.

use onnx_gateway::config::{OtlpSettings, Settings};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Answer, TestGateway,
    collector::{Collector, hexadecimal, text},
    grpc::setosa_raw,
    setosa, table,
    tokens::TokenBuilder,
};

const PARENT: &str = "00f067aa0ba902b7";

/// A trace of this number, as a client begins it.
fn trace(number: u64) -> String {
    format!("4bf92f3577b34da6{number:016x}")
}

fn traceparent(number: u64, flags: &str) -> String {
    format!("00-{}-{PARENT}-{flags}", trace(number))
}

fn tracing(collector: &Collector, sample: f64) -> impl FnOnce(&mut Settings) + use<> {
    let endpoint = Some(collector.endpoint());
    move |settings| {
        settings.telemetry.otlp = OtlpSettings { endpoint, sample };
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address.requests = 1_000_000;
    }
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// Checks that the spans of a prediction are connected, and returns that of the request.
fn connected(spans: &[Span], place: &str) -> Span {
    let named = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("{place}: no {name} in {spans:#?}"));
        assert!(found.next().is_none(), "{place}: {name} is there twice");
        span.clone()
    };
    let request = spans.iter().find(|span| span.kind() == SpanKind::Server).expect("a span of the request");
    let batch = named("batch");
    for (name, parent) in [
        ("authentication", request),
        ("quota", request),
        ("queue", request),
        ("batch", request),
        ("inference", &batch),
    ] {
        let span = named(name);
        assert_eq!(span.parent_span_id, parent.span_id, "{place}: {name}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{place}: {span:?}");
        let (begin, end) = (request.start_time_unix_nano, request.end_time_unix_nano);
        let is_within = begin <= span.start_time_unix_nano && span.end_time_unix_nano <= end;
        assert!(is_within, "{place}: {span:?} is not within {request:?}");
    }
    assert_eq!(text(&batch.attributes, "gateway.batch.rows"), "1", "{place}");
    assert_eq!(spans.len(), 6, "{place}: {spans:#?}");
    request.clone()
}

#[tokio::test]
async fn a_prediction_is_one_connected_trace_on_every_path() {
    let collector = Collector::start().await;
    let gateway = TestGateway::builder().settings(tracing(&collector, 0.0)).start().await;
    // The token is known from now on.
    gateway.predict(&setosa()).await;
    let tensor =
        json!({"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]});
    let bodies: [(&str, Value); 4] = [
        ("/predict", setosa()),
        ("/v2/models/iris/infer", json!({"inputs": [tensor]})),
        ("/v1/models/iris:predict", json!({"instances": [[5.1, 3.5, 1.4, 0.2]]})),
        ("/invocations", json!({"instances": [[5.1, 3.5, 1.4, 0.2]]})),
    ];
    let mut number = 0;
    // An unusual header takes a request along the slow path.
    for header in ["accept", "x-tenant"] {
        for (path, body) in &bodies {
            number += 1;
            let request = gateway.post(path).json(body).header(header, "*/*");
            let request = request.header("traceparent", traceparent(number, "01"));
            let answer = send(request.header("tracestate", "vendor=1").header("tracestate", "other=2")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            let place = format!("{path} {header}");
            let spans = collector.trace(&trace(number), 6).await;
            let span = connected(&spans, &place);
            assert_eq!(hexadecimal(&span.parent_span_id), PARENT, "{place}");
            assert!(spans.iter().all(|span| span.trace_state == "vendor=1,other=2"), "{place}: {spans:#?}");
            let route = path.replace("/iris", "/{model}").replace(":predict", "");
            let shown = |key: &str| text(&span.attributes, key);
            assert_eq!(shown("url.path"), *path);
            assert_eq!(shown("http.response.status_code"), "200", "{place}");
            assert_eq!(
                (shown("gateway.model.name"), shown("gateway.model.version")),
                ("iris".into(), "1".into())
            );
            assert_eq!(shown("gateway.request.id"), answer.header("x-request-id"), "{place}");
            assert!(shown("http.route").starts_with(&route), "{place}: {}", shown("http.route"));
            let expected = format!("00-{}-{}-01", trace(number), hexadecimal(&span.span_id));
            assert_eq!(answer.header("traceresponse"), expected, "{place}");
        }
    }
    for tenant in [None, Some("a")] {
        number += 1;
        let mut request = tonic::Request::new(setosa_raw());
        request.metadata_mut().insert("traceparent", traceparent(number, "01").parse().unwrap());
        if let Some(tenant) = tenant {
            request.metadata_mut().insert("x-tenant", tenant.parse().unwrap());
        }
        gateway.grpc().model_infer(request).await.unwrap();
        let span = connected(&collector.trace(&trace(number), 6).await, "gRPC");
        assert_eq!(text(&span.attributes, "http.route"), "/inference.GRPCInferenceService/ModelInfer");
        assert_eq!(text(&span.attributes, "rpc.response.status_code"), "OK");
    }
    assert_eq!(collector.resource("service.name"), "onnx-gateway");
    assert_eq!(collector.resource("service.version"), env!("CARGO_PKG_VERSION"));
    gateway
        .metrics_until(|metrics| metrics.contains(r#"gateway_trace_spans_total{outcome="exported"} 60"#))
        .await;
}

#[tokio::test]
async fn the_client_decides_and_else_the_sample() {
    for (sample, flags, is_traced) in
        [(0.0, "01", true), (1.0, "00", false), (0.0, "", false), (1.0, "", true), (1.0, "malformed", true)]
    {
        let collector = Collector::start().await;
        let gateway = TestGateway::builder().settings(tracing(&collector, sample)).start().await;
        let request = gateway.post("/predict").json(&setosa());
        let request = match flags {
            "" => request,
            flags => request.header("traceparent", traceparent(1, flags)),
        };
        let answer = send(request).await;
        let told = answer.headers.get("traceresponse").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(told.is_some(), is_traced, "{sample} {flags}");
        if let Some(told) = told {
            collector.trace(told.split('-').nth(1).unwrap(), 6).await;
        }
        // What waits is exported at the end.
        gateway.stop().await;
        assert_eq!(!collector.spans().is_empty(), is_traced, "{sample} {flags}");
    }
}

#[tokio::test]
async fn a_client_that_is_not_known_does_not_decide() {
    let collector = Collector::start().await;
    let gateway = TestGateway::builder().settings(tracing(&collector, 0.0)).start().await;
    let request = gateway.client.post(gateway.url("/predict")).json(&setosa());
    let request = request.header("traceparent", traceparent(1, "01")).header("x-server-timing", "1");
    let refused = send(request).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(!refused.headers.contains_key("server-timing") && !refused.headers.contains_key("traceresponse"));
    let failed = gateway.post("/models/nothing/predict").json(&setosa());
    let failed = send(failed.header("traceparent", traceparent(2, "01"))).await;
    assert_eq!(failed.status, StatusCode::NOT_FOUND);
    let spans = collector.trace(&trace(2), 3).await;
    let span = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!(text(&span.attributes, "http.response.status_code"), "404");
    let status =
        span.status.as_ref().map_or(SpanStatus::Unset, opentelemetry_proto::tonic::trace::v1::Status::code);
    assert_eq!(status, SpanStatus::Unset, "the client's fault is none of the gateway's");
    gateway.stop().await;
    assert!(collector.spans().iter().all(|span| hexadecimal(&span.trace_id) == trace(2)));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let collector = Collector::start().await;
    let address = collector.address;
    let gateway = TestGateway::builder().settings(tracing(&collector, 1.0)).start().await;
    drop(collector);
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
    gateway
        .metrics_until(|metrics| metrics.contains(r#"gateway_trace_spans_total{outcome="failed"} 6"#))
        .await;
    // Another one, by changed settings.
    let collector = Collector::start().await;
    assert_ne!(collector.address, address);
    gateway.reload(tracing(&collector, 1.0));
    let answer = gateway.predict(&setosa()).await;
    let told = answer.header("traceresponse").to_owned();
    connected(&collector.trace(told.split('-').nth(1).unwrap(), 6).await, "after the reload");
    gateway.reload(|settings| settings.telemetry.otlp.endpoint = None);
    assert!(!gateway.predict(&setosa()).await.headers.contains_key("traceresponse"));
}

#[tokio::test]
async fn a_client_that_asks_is_told_the_times_of_its_request() {
    let gateway = TestGateway::start().await;
    gateway.predict(&setosa()).await;
    table::each_async(["accept", "x-tenant"], async |header| {
        let request = gateway.post("/predict").json(&setosa()).header(header, "*/*");
        let answer = send(request.header("x-server-timing", "1")).await;
        let timing = answer.header("server-timing");
        let parts: Vec<&str> = timing.split(", ").map(|part| part.split(";dur=").next().unwrap()).collect();
        assert_eq!(parts, ["authentication", "quota", "queue", "batch", "inference", "total"], "{timing}");
        for part in timing.split(", ") {
            let milliseconds: f64 = part.split_once(";dur=").unwrap().1.parse().unwrap();
            assert!(milliseconds >= 0.0, "{timing}");
        }
        assert!(!answer.headers.contains_key("traceresponse"), "{answer:?}");
    })
    .await;
    let plain = gateway.predict(&setosa()).await;
    assert!(!plain.headers.contains_key("server-timing"), "{plain:?}");
    let mut request = tonic::Request::new(setosa_raw());
    request.metadata_mut().insert("x-server-timing", "1".parse().unwrap());
    let answer = gateway.grpc().model_infer(request).await.unwrap();
    assert!(answer.metadata().get("server-timing").unwrap().to_str().unwrap().contains("inference;dur="));
    let mut refused = tonic::Request::new(setosa_raw());
    refused.metadata_mut().insert("x-server-timing", "1".parse().unwrap());
    let refused =
        gateway.grpc_with(&TokenBuilder::new().scope("read")).model_infer(refused).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
