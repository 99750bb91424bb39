//! How calls of gRPC are carried: streams, deadlines, compression, limits, health, reflection, connections, the end.

use std::{
    error::Error,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Full};
use onnx_gateway::protocols::open_inference::grpc::proto::{
    ModelInferRequest, ModelStreamInferResponse, RepositoryIndexRequest, ServerMetadataRequest,
};
use prost::Message;
use reqwest::StatusCode;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Status, Streaming, codec::CompressionEncoding};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::{
    PATIENCE, TestGateway,
    grpc::{GRPC, client_at, code, fp32, framed, http, input, raw_call, setosa_raw, setosa_typed, within},
    setosa, table,
    tokens::TokenBuilder,
};

/// The turns of a run of half a minute, if nothing ends it.
const LONG: f32 = 2e7;

/// Less than a long run takes.
const SOON: Duration = Duration::from_secs(10);

/// A request that keeps the slow model busy for `turns`.
fn turns(turns: f32) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "slow".to_owned(),
        id: turns.to_string(),
        inputs: vec![input("turns", "FP32", &[1, 1], Some(fp32(&[turns])))],
        ..ModelInferRequest::default()
    }
}

/// A stream of requests that a test sends one by one.
fn requests() -> (mpsc::Sender<ModelInferRequest>, impl Stream<Item = ModelInferRequest> + Send + 'static) {
    let (send, receive) = mpsc::channel(8);
    let stream = stream::unfold(receive, |mut receive: mpsc::Receiver<ModelInferRequest>| async {
        Some((receive.recv().await?, receive))
    });
    (send, stream)
}

async fn next(answers: &mut Streaming<ModelStreamInferResponse>) -> Result<ModelStreamInferResponse, Status> {
    let next = timeout(PATIENCE, answers.message()).await.expect("an answer in time");
    next.map(|answer| answer.expect("the stream goes on"))
}

// --- Streams ---

#[tokio::test]
async fn each_request_of_a_stream_is_answered_in_its_turn() {
    let gateway = TestGateway::start().await;
    let wrong = ModelInferRequest { model_name: "nothing".to_owned(), id: "2".to_owned(), ..setosa_raw() };
    let requests = [
        ModelInferRequest { id: "1".to_owned(), ..setosa_raw() },
        wrong,
        ModelInferRequest { id: "3".to_owned(), inputs: Vec::new(), ..setosa_typed() },
        ModelInferRequest { id: "4".to_owned(), ..setosa_typed() },
    ];
    let mut answers = gateway.grpc().model_stream_infer(stream::iter(requests)).await.unwrap().into_inner();
    let mut said = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let response = answer.infer_response.unwrap();
        said.push((response.id, response.outputs.len(), answer.error_message));
    }
    let ids: Vec<&str> = said.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert_eq!(said.iter().map(|(_, outputs, _)| *outputs).collect::<Vec<_>>(), [2, 0, 0, 2]);
    assert_eq!(said[1].2, "there is no model `nothing`");
    assert!(said[2].2.contains("is required"), "{said:?}");
    assert_eq!((said[0].2.as_str(), said[3].2.as_str()), ("", ""));
}

#[tokio::test]
async fn no_message_of_a_caller_that_may_not_ask_is_read() {
    let gateway = TestGateway::start().await;
    let token = TokenBuilder::new().scope("read").build();
    let body =
        tonic::body::Body::new(Full::new(framed(0, b"no message").into()).map_err(|never| match never {}));
    let uri = format!("http://{}/inference.GRPCInferenceService/ModelInfer", gateway.grpc_address());
    let request = axum::http::Request::post(uri).header("authorization", format!("Bearer {token}"));
    let request = request.header(GRPC.0, GRPC.1).body(body).unwrap();
    let answer = http().request(request).await.unwrap();
    assert_eq!(code(answer.headers()), Code::PermissionDenied);
    let (_, headers) = raw_call(&gateway, &[GRPC], framed(0, b"no message")).await;
    assert_eq!(code(&headers), Code::InvalidArgument, "it is read of one that may");
}

#[tokio::test]
async fn a_stream_is_no_way_around_quotas_and_scopes() {
    let builder = TestGateway::builder().model("wine.onnx", "regressor");
    let gateway = builder
        .settings(|settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.per_address.requests = 5;
            settings.rate_limit.per_caller.requests = 3;
            settings.rate_limit.per_address.period_seconds = 3600;
            settings.rate_limit.per_caller.period_seconds = 3600;
        })
        .start()
        .await;
    let token = TokenBuilder::new().scope("predict:iris");
    let wine = ModelInferRequest { model_name: "wine".to_owned(), ..setosa_raw() };
    let asked = [setosa_raw(), wine, setosa_raw(), setosa_raw(), setosa_raw(), setosa_raw()];
    let mut client = gateway.grpc_with(&token);
    let mut answers = client.model_stream_infer(stream::iter(asked)).await.unwrap().into_inner();
    let mut errors = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        errors.push(answer.error_message);
    }
    assert_eq!(errors[0], "");
    assert!(errors[1].contains("the token lacks the scope `predict` (or `predict:wine`)"), "{errors:?}");
    assert_eq!(errors[2], "");
    assert!(errors[3].contains("this caller may send 3 requests"), "{errors:?}");
    assert!(errors[5].contains("this address may send 5 requests"), "{errors:?}");
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::TOO_MANY_REQUESTS);

    for scope in ["read manage", ""] {
        let gateway = TestGateway::start().await;
        let mut client = gateway.grpc_with(&TokenBuilder::new().scope(scope));
        let status = client.model_stream_infer(stream::iter([setosa_raw()])).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let gateway = TestGateway::start().await;
    let (send, requests) = requests();
    let mut answers = gateway.grpc().model_stream_infer(requests).await.unwrap().into_inner();
    send.send(setosa_raw()).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().error_message, "");
    // It is valid for 600 seconds, and clocks may differ by 30.
    gateway.clock.advance(625);
    send.send(setosa_raw()).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().error_message, "");
    gateway.clock.advance(10);
    // Nothing is sent: an idle stream ends too.
    assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_stream_holds_one_run_at_a_time_and_none_once_it_is_gone() {
    let builder = TestGateway::builder_without_models().model("slow.onnx", "slow");
    let gateway = builder.settings(|settings| settings.runtime.instances = 1).start().await;
    let mut client = gateway.grpc();
    let many = stream::iter((0..10).map(|_| turns(LONG)));
    let answers = client.model_stream_infer(many).await.unwrap().into_inner();
    let waits = timeout(Duration::from_millis(100), async {
        let mut answers = answers;
        answers.message().await
    });
    assert!(waits.await.is_err());
    // The client is gone, and with it the run.
    let answer = timeout(SOON, client.model_infer(turns(3.0))).await.expect("the one instance is free");
    answer.unwrap();
}

// --- Deadlines ---

#[tokio::test]
async fn a_deadline_ends_the_run() {
    let builder = TestGateway::builder_without_models().model("slow.onnx", "slow");
    let gateway = builder.settings(|settings| settings.runtime.instances = 1).start().await;
    let mut client = gateway.grpc();
    let status = client.model_infer(within(turns(LONG), Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DeadlineExceeded, "the request took longer than its own timeout")
    );
    timeout(SOON, client.model_infer(turns(3.0))).await.expect("the one instance is free").unwrap();

    let stream = within(stream::iter([turns(3.0), turns(LONG)]), Duration::from_millis(500));
    let mut answers = client.model_stream_infer(stream).await.unwrap().into_inner();
    assert_eq!(next(&mut answers).await.unwrap().error_message, "");
    assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::DeadlineExceeded);
    timeout(SOON, client.model_infer(turns(3.0))).await.expect("the one instance is free").unwrap();

    let mut request = Request::new(setosa_raw());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    assert_eq!(client.model_infer(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn no_deadline_is_later_than_the_settings_allow() {
    let builder = TestGateway::builder_without_models().model("slow.onnx", "slow");
    let gateway = builder
        .settings(|settings| {
            settings.server.request_timeout_ms = 200;
            settings.runtime.instances = 1;
        })
        .start()
        .await;
    let mut client = gateway.grpc();
    let status = client.model_infer(within(turns(LONG), PATIENCE)).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DeadlineExceeded, "the request took longer than server.request_timeout_ms")
    );
    // Of a stream, each answer.
    let requests = stream::iter([turns(LONG), turns(3.0)]);
    let mut answers = client.model_stream_infer(requests).await.unwrap().into_inner();
    assert!(next(&mut answers).await.unwrap().error_message.contains("server.request_timeout_ms"));
    assert_eq!(next(&mut answers).await.unwrap().error_message, "");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_run() {
    let builder = TestGateway::builder_without_models().model("slow.onnx", "slow");
    let gateway = builder.settings(|settings| settings.runtime.instances = 1).start().await;
    let mut client = gateway.grpc();
    let gone = timeout(Duration::from_millis(100), client.model_infer(turns(LONG))).await;
    assert!(gone.is_err());
    timeout(SOON, client.model_infer(turns(3.0))).await.expect("the one instance is free").unwrap();
}

// --- Messages ---

#[tokio::test]
async fn compressed_messages_are_read_and_answered_in_kind() {
    let gateway = TestGateway::start().await;
    let plain = gateway.grpc().model_infer(setosa_raw()).await.unwrap().into_inner();
    let cases = [
        (CompressionEncoding::Gzip, "gzip"),
        (CompressionEncoding::Deflate, "deflate"),
        (CompressionEncoding::Zstd, "zstd"),
    ];
    table::each_async(cases, async |(encoding, name)| {
        let mut client = gateway.grpc().send_compressed(encoding).accept_compressed(encoding);
        let answer = client.model_infer(setosa_raw()).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), name);
        assert_eq!(answer.into_inner(), plain);
        let mut client = gateway.grpc().accept_compressed(encoding);
        let answer = client.model_infer(setosa_raw()).await.unwrap();
        assert!(answer.metadata().get("grpc-encoding").is_none(), "it did not compress itself");
    })
    .await;
    let (_, headers) = raw_call(&gateway, &[GRPC, ("grpc-encoding", "br")], framed(1, b"x")).await;
    assert_eq!(code(&headers), Code::Unimplemented);
    assert_eq!(headers["grpc-accept-encoding"], "gzip,deflate,zstd,identity");
}

#[tokio::test]
async fn no_message_is_larger_than_the_settings_allow() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.server.max_tensor_body_bytes = 100_000;
            settings.server.max_body_bytes = 1000;
        })
        .start()
        .await;
    let rows = |rows: usize| ModelInferRequest {
        inputs: vec![input("features", "FP32", &[i64::try_from(rows).unwrap(), 4], None)],
        raw_input_contents: vec![vec![0; rows * 16].into()],
        ..setosa_raw()
    };
    let mut client = gateway.grpc();
    client.model_infer(rows(6000)).await.unwrap();
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = gateway.grpc();
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let status = client.model_infer(rows(1_000_000)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{encoding:?}: {status:?}");
        let mut answers =
            client.model_stream_infer(stream::iter([rows(1_000_000)])).await.unwrap().into_inner();
        assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::ResourceExhausted, "{encoding:?}");
    }
    let request = RepositoryIndexRequest { repository_name: "x".repeat(2000), ready: false };
    assert_eq!(client.repository_index(request).await.unwrap_err().code(), Code::ResourceExhausted);
    client.model_infer(rows(1)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_the_connection_serves_on() {
    let gateway = TestGateway::start().await;
    let cases = [
        (vec![GRPC], framed(0, b"\xff\xff\xff\xff"), Code::InvalidArgument),
        // A field of the right number and another type.
        (vec![GRPC], framed(0, &[0x0d, 1, 2, 3, 4]), Code::InvalidArgument),
        // A name that is no text.
        (vec![GRPC], framed(0, &[0x0a, 1, 0xff]), Code::InvalidArgument),
        // The framing is the library's matter, and its code.
        (vec![GRPC], framed(2, &setosa_raw().encode_to_vec()), Code::Internal),
        (vec![GRPC], framed(1, &setosa_raw().encode_to_vec()), Code::Internal),
        (vec![GRPC, ("grpc-encoding", "gzip")], framed(1, b"this is no gzip"), Code::InvalidArgument),
        (vec![GRPC], vec![0, 0xff, 0xff, 0xff, 0xff], Code::ResourceExhausted),
        (vec![GRPC], Vec::new(), Code::Internal),
        (vec![GRPC], framed(0, &setosa_raw().encode_to_vec()), Code::Ok),
    ];
    table::each_async(cases, async |(headers, body, expected)| {
        let (status, headers) = raw_call(&gateway, &headers, body.clone()).await;
        assert_eq!((status.as_u16(), code(&headers)), (200, expected), "{body:?}");
        assert!(!headers["x-request-id"].is_empty());
    })
    .await;
    let cases = ["application/json", "application/grpc-web", "application/grpc+json", ""];
    table::each_async(cases, async |content_type| {
        let body = framed(0, &setosa_raw().encode_to_vec());
        let (status, headers) = raw_call(&gateway, &[("content-type", content_type)], body).await;
        assert_eq!(status.as_u16(), 415, "{content_type}");
        assert!(headers.get("grpc-status").is_none());
    })
    .await;
    let (status, headers) = raw_call(
        &gateway,
        &[("content-type", "application/grpc+proto")],
        framed(0, &setosa_raw().encode_to_vec()),
    )
    .await;
    assert_eq!((status.as_u16(), code(&headers)), (200, Code::Ok));
}

// --- Health and reflection ---

#[tokio::test]
async fn health_is_told_without_a_token() {
    let gateway = TestGateway::start().await;
    let origin = || format!("http://{}", gateway.grpc_address()).parse().unwrap();
    let mut client = HealthClient::with_origin(http(), origin());
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "inference.GRPCInferenceService"] {
        let answer = client.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(client.check(of("else")).await.unwrap_err().code(), Code::NotFound);
    let mut unknown = client.watch(of("else")).await.unwrap().into_inner();
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    let mut watched = client.watch(of("")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(gateway.manage("/v2/repository/models/iris/unload").await.status, StatusCode::OK);
    assert_eq!(client.check(of("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // A watch ends with the gateway, and does not hold it up.
    let stopping = gateway.begin_shut_down(Duration::ZERO);
    assert_eq!(watched.message().await.unwrap_err().code(), Code::Unavailable);
    drop((watched, unknown, client));
    timeout(PATIENCE / 3, stopping).await.expect("nothing is waited for").unwrap();
}

#[tokio::test]
async fn reflection_tells_everyone_of_the_service() {
    let gateway = TestGateway::start().await;
    let origin: axum::http::Uri = format!("http://{}", gateway.grpc_address()).parse().unwrap();
    let ask = |message| {
        stream::iter([ServerReflectionRequest { host: String::new(), message_request: Some(message) }])
    };
    let list = || ask(MessageRequest::ListServices(String::new()));
    // Without a token, as /openapi.json.
    let mut client = ServerReflectionClient::with_origin(http(), origin);
    let mut answers = client.server_reflection_info(list()).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(
        names.contains(&"inference.GRPCInferenceService") && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
    let file = ask(MessageRequest::FileContainingSymbol("inference.GRPCInferenceService".to_owned()));
    let mut answers = client.server_reflection_info(file).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    assert!(!files.file_descriptor_proto[0].is_empty());
}

#[tokio::test]
async fn every_method_of_the_description_is_there_and_no_other() {
    let gateway = TestGateway::start().await;
    let files = prost_types::FileDescriptorSet::decode(
        onnx_gateway::protocols::open_inference::grpc::proto::DESCRIPTION,
    )
    .unwrap();
    let service = &files.file[0].service[0];
    assert_eq!(service.method.len(), 12);
    let cases = service.method.iter().map(|method| (method.name(), true)).chain([
        ("SystemSharedMemoryStatus", false),
        ("TraceSetting", false),
        ("LogSettings", false),
        ("", false),
    ]);
    table::each_async(cases, async |(method, there)| {
        let url = format!("http://{}/inference.GRPCInferenceService/{method}", gateway.grpc_address());
        let request = hyper::Request::post(url)
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {}", TokenBuilder::new().build()));
        let body =
            tonic::body::Body::new(Full::new(Bytes::from(framed(0, b""))).map_err(|never| match never {}));
        let response = http().request(request.body(body).unwrap()).await.unwrap();
        let status = response.headers().get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
        assert_eq!(status != Some(Code::Unimplemented), there, "{method}: {status:?}");
    })
    .await;
}

// --- Connections and the end ---

#[tokio::test]
async fn whoever_speaks_no_http2_is_told_so_or_left() {
    let gateway =
        TestGateway::builder().settings(|settings| settings.server.header_timeout_ms = 200).start().await;
    let address = gateway.grpc_address();
    let said = tokio::task::spawn_blocking(move || {
        let mut said = Vec::new();
        for hello in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"PRI * HTT"] {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(hello).unwrap();
            let mut answer = Vec::new();
            // Whether it is closed or reset does not matter.
            let _ = stream.read_to_end(&mut answer);
            said.push(String::from_utf8(answer).unwrap());
        }
        said
    });
    let said = timeout(PATIENCE, said).await.expect("each is closed").unwrap();
    assert!(said[0].starts_with("HTTP/1.1 505 "), "{said:?}");
    assert_eq!(said[1..], ["", ""]);
    gateway.grpc().model_infer(setosa_raw()).await.unwrap();
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let gateway = TestGateway::builder().settings(|settings| settings.grpc.enabled = false).start().await;
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
    gateway.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_under_load_loses_no_answer() {
    const CLIENTS: usize = 8;
    let gateway = TestGateway::start().await;
    let (address, answered) = (gateway.grpc_address(), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let answered = Arc::clone(&answered);
            let mut client = client_at(address, Some(TokenBuilder::new().build()));
            tokio::spawn(async move {
                loop {
                    match client.model_infer(setosa_raw()).await {
                        Ok(answer) => {
                            assert_eq!(answer.into_inner().outputs.len(), 2);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(status) if is_connect(&status) => return,
                        Err(status) => panic!("an answer was lost: {status:?}"),
                    }
                }
            })
        })
        .collect();
    let loaded = async {
        while answered.load(Ordering::SeqCst) < 50 * CLIENTS {
            crate::support::pause().await;
        }
    };
    timeout(PATIENCE, loaded).await.expect("the gateway is under load");
    let stopping = gateway.begin_shut_down(Duration::from_millis(50));
    for client in clients {
        timeout(PATIENCE, client).await.expect("the gateway stops").unwrap();
    }
    timeout(PATIENCE, stopping).await.expect("it has nothing to wait for").unwrap();
}

/// Whether nobody listens any more, so that the request was never taken.
fn is_connect(status: &Status) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(status);
    while let Some(error) = cause {
        if error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_answered_before_the_end() {
    let gateway = TestGateway::builder_without_models().model("slow.onnx", "slow").start().await;
    let (send, requests) = requests();
    let mut answers = gateway.grpc().model_stream_infer(requests).await.unwrap().into_inner();
    // Each runs for a good part of a second: when the first is answered, the second has come.
    send.send(turns(300_000.0)).await.unwrap();
    send.send(turns(300_001.0)).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().error_message, "");
    let stopping = gateway.begin_shut_down(Duration::ZERO);
    assert_eq!(next(&mut answers).await.unwrap().infer_response.unwrap().id, "300001");
    assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::Unavailable);
    timeout(PATIENCE / 3, stopping).await.expect("nothing else is waited for").unwrap();
}

#[tokio::test]
async fn settings_reach_the_next_call_of_an_open_connection() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc();
    client.server_metadata(ServerMetadataRequest {}).await.unwrap();
    let _ = gateway.reload(|settings| settings.auth.audience = "else".to_owned());
    assert_eq!(client.model_infer(setosa_raw()).await.unwrap_err().code(), Code::Unauthenticated);
    let other = TokenBuilder::new().claim("aud", json!("else"));
    gateway.grpc_with(&other).model_infer(setosa_raw()).await.unwrap();
}
