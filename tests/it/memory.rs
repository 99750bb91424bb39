//! The memory that requests may take together, whoever sends them and by whichever protocol.

use std::{io::Write, net::SocketAddr};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use onnx_gateway::system::memory::resident_bytes;
use reqwest::{Body, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, codec::CompressionEncoding};

use crate::support::{
    Answer, PATIENCE, TestGateway,
    binary::{Process, command, free_port},
    grpc, pause,
    repository::Repository,
    setosa, table,
    tokens::{SECRET, TokenBuilder},
};

const MIB: usize = 1 << 20;

/// A gateway that has so many bytes for requests, about: three quarters of what it may use more than it does.
async fn with_memory_for_requests(bytes: usize) -> TestGateway {
    let builder = TestGateway::builder().settings(|settings| {
        settings.server.max_body_bytes = 256 << 20;
        settings.server.max_tensor_body_bytes = 256 << 20;
    });
    let gateway = builder.start().await;
    let resident = usize::try_from(resident_bytes().unwrap()).unwrap();
    let limit = u64::try_from(resident + bytes / 3 * 4).unwrap();
    let reloaded = gateway.reload(|settings| settings.runtime.memory_limit_bytes = limit);
    assert_eq!(reloaded.applied, ["runtime.memory_limit_bytes"]);
    let waiting = async {
        while memory(&gateway).await["bytes_in_flight_limit"].as_u64().unwrap() > limit {
            pause().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the limit is in effect");
    gateway
}

/// The memory for requests, as the operators' listener tells it.
async fn memory(gateway: &TestGateway) -> Value {
    let request = gateway.client.get(gateway.admin_url("/health"));
    Answer::of(request.send().await.unwrap()).await.body["memory"].clone()
}

async fn memory_until(gateway: &TestGateway, condition: impl Fn(u64) -> bool) {
    let waiting = async {
        loop {
            let memory = memory(gateway).await;
            if condition(memory["bytes_in_flight"].as_u64().unwrap()) {
                return;
            }
            pause().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("so many bytes in flight");
}

/// A request whose body begins with so many bytes and then waits. They take no memory of the client's, which counts as
/// the gateway's here: both are one process.
fn unfinished(request: RequestBuilder, bytes: usize) -> RequestBuilder {
    const PART: &[u8] = &[b' '; 64 * 1024];
    let parts =
        (0..bytes / PART.len()).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(PART))));
    let body = StreamBody::new(stream::iter(parts).chain(stream::pending()));
    request.header("content-type", "application/json").body(Body::wrap(body))
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn bodies_that_do_not_come_to_an_end_leave_room_for_others() {
    let gateway = with_memory_for_requests(64 * MIB).await;
    let limit = memory(&gateway).await["bytes_in_flight_limit"].as_u64().unwrap();
    let mut refused = Vec::new();
    let mut waiting = tokio::task::JoinSet::new();
    for path in ["/predict", "/v2/models/iris/infer", "/v1/models/iris:predict", "/invocations"] {
        for _ in 0..6 {
            let request = unfinished(gateway.post(path), 16 * MIB);
            waiting.spawn(async { Answer::of(request.send().await.unwrap()).await });
        }
    }
    // All of them are of one caller, whose share is not all there is.
    while refused.len() < 12 {
        refused.push(tokio::time::timeout(PATIENCE, waiting.join_next()).await.unwrap().unwrap().unwrap());
        assert!(memory(&gateway).await["bytes_in_flight"].as_u64().unwrap() <= limit);
        assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
    }
    for answer in refused {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.text.contains("try again soon"), "{answer:?}");
    }
    let other = TokenBuilder::new().claim("sub", json!("somebody-else")).build();
    let rows = json!({"instances": vec![[5.1, 3.5, 1.4, 0.2]; 20_000]});
    let request = gateway.client.post(gateway.url("/predict")).bearer_auth(other).json(&rows);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "another caller has a share");
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    memory_until(&gateway, |bytes| bytes == 0).await;
}

/// A gateway in a process of its own, whose memory is not that of the test, with 192 MiB for everything.
struct Separate {
    _process: Process,
    _repository: Repository,
    http: SocketAddr,
    grpc: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
    /// Its budget for requests at the start, in bytes.
    limit: f64,
}

impl Separate {
    async fn start() -> Self {
        let repository = Repository::new();
        repository.put_iris("iris/1/model.onnx");
        let [http, grpc, admin] =
            [free_port(), free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut command = command();
        command
            .current_dir(repository.path())
            .env("GATEWAY__SERVER__LISTEN", http.to_string())
            .env("GATEWAY__SERVER__MAX_BODY_BYTES", (256 * MIB).to_string())
            .env("GATEWAY__SERVER__MAX_TENSOR_BODY_BYTES", (256 * MIB).to_string())
            .env("GATEWAY__GRPC__LISTEN", grpc.to_string())
            .env("GATEWAY__ADMIN__LISTEN", admin.to_string())
            .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
            .env("GATEWAY__RATE_LIMIT__ENABLED", "false")
            .env("GATEWAY__RUNTIME__MEMORY_LIMIT_BYTES", (192 * MIB).to_string())
            .env("GATEWAY__MODELS__DEFAULT", "iris")
            .env("GATEWAY__MODELS__REPOSITORY", repository.path())
            .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state());
        let process = Process::serve(command);
        let client = reqwest::Client::new();
        let mut gateway =
            Self { _process: process, _repository: repository, http, grpc, admin, client, limit: 0.0 };
        gateway.limit = gateway.limit().await;
        gateway
    }

    async fn post(&self, path: &str, encoding: Option<&str>, body: impl Into<Body>) -> Answer {
        let request = self.client.post(format!("http://{}{path}", self.http));
        let request =
            request.bearer_auth(TokenBuilder::new().build()).header("content-type", "application/json");
        let request =
            encoding.into_iter().fold(request, |request, name| request.header("content-encoding", name));
        Answer::of(request.body(body).send().await.unwrap()).await
    }

    /// Waits until memory that requests freed is the system's again, and so the gateway's budget is what it was.
    async fn settled(&self) {
        let waiting = async {
            while self.limit().await < self.limit * 0.75 {
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("memory is given back");
    }

    async fn limit(&self) -> f64 {
        let metrics = self.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix("gateway_bytes_in_flight_limit "));
        line.unwrap().parse().unwrap()
    }

    async fn metrics(&self) -> String {
        let request = self.client.get(format!("http://{}/metrics", self.admin));
        request.send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn what_a_body_unpacks_to_is_charged_and_refused_where_it_can_never_fit() {
    let gateway = Separate::start().await;
    let body = zipped(&vec![b' '; 100 * MIB]);
    assert!(body.len() < MIB);
    let cases = [("/predict", "detail"), ("/v2/models/iris/infer", "error"), ("/invocations", "message")];
    table::each_async(cases, async |(path, member)| {
        gateway.settled().await;
        let answer = gateway.post(path, Some("gzip"), body.clone()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}: {answer:?}");
        let said = answer.body[member].as_str().unwrap_or_default();
        assert!(said.contains("bytes that the requests of one client may take"), "{answer:?}");
        if path == "/predict" {
            assert_eq!(answer.problem_code(), "needs_too_much_memory");
        }
    })
    .await;
    let mut message = grpc::setosa_raw();
    message.raw_input_contents = vec![vec![0; 100 * MIB].into()];
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate, CompressionEncoding::Zstd] {
        let token = TokenBuilder::new().build();
        let mut client = grpc::client_at(gateway.grpc, Some(token)).send_compressed(encoding);
        gateway.settled().await;
        let status = client.model_infer(message.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("one client may take"), "{status:?}");
    }
    let waiting = async {
        while !gateway.metrics().await.contains("\ngateway_bytes_in_flight 0\n") {
            pause().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("nothing stays charged");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("\ngateway_requests_over_memory_total 6\n"), "{metrics}");
}

#[tokio::test]
async fn numbers_that_are_short_as_text_are_charged_as_what_they_become() {
    let gateway = Separate::start().await;
    // Two bytes each, and eight in a tensor.
    let body = format!(r#"{{"features": [{}]}}"#, vec!["1"; 16 * MIB].join(","));
    let answer = gateway.post("/predict", None, body).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (413, "needs_too_much_memory"));
    let mut message = grpc::setosa_raw();
    message.raw_input_contents.clear();
    message.inputs[0].contents =
        Some(onnx_gateway::protocols::open_inference::grpc::proto::InferTensorContents {
            int64_contents: vec![1; 16 * MIB],
            ..Default::default()
        });
    gateway.settled().await;
    let mut client = grpc::client_at(gateway.grpc, Some(TokenBuilder::new().build()));
    let status = client.model_infer(message).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn a_response_is_charged_until_the_client_takes_it() {
    let gateway = with_memory_for_requests(64 * MIB).await;
    let rows = json!({"instances": vec![[5.1, 3.5, 1.4, 0.2]; 100_000]});
    let response = gateway.post("/predict").json(&rows).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let length = response.content_length().unwrap();
    assert!(length > 5 << 20, "more than the system takes for the client: {length}");
    assert!(memory(&gateway).await["bytes_in_flight"].as_u64().unwrap() >= length);
    drop(response);
    memory_until(&gateway, |bytes| bytes == 0).await;
}

#[tokio::test]
async fn a_few_words_are_all_that_most_routes_take() {
    let gateway = TestGateway::start().await;
    let long = "x".repeat(20_000);
    let form = [("grant_type", "client_credentials"), ("client_id", "shop"), ("client_secret", &long)];
    let without_token = gateway.client.post(gateway.url("/token")).form(&form);
    let answer = Answer::of(without_token.send().await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (413, "body_too_large"));
    for path in ["/v2/repository/index", "/v2/repository/models/iris/load"] {
        let request = gateway.post(path).json(&json!({"parameters": {"x": long}}));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn a_compressed_message_to_an_open_method_is_unpacked_to_16_kib_at_most() {
    let gateway = with_memory_for_requests(24 * MIB).await;
    let packed = zipped(&vec![0; 100 * MIB]);
    let message = Bytes::from(grpc::framed(1, &packed));
    let uri = format!("http://{}/inference.GRPCInferenceService/ServerLive", gateway.grpc_address());
    let request = axum::http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "gzip");
    let body = tonic::body::Body::new(Full::new(message).map_err(|never| match never {}));
    let answer = grpc::http().request(request.body(body).unwrap()).await.unwrap();
    let told = answer.headers()["grpc-message"].to_str().unwrap();
    assert_eq!(grpc::code(answer.headers()), Code::ResourceExhausted, "{told}");
    assert!(told.contains("16%20KiB"), "{told}");
    assert_eq!(memory(&gateway).await["refused_requests"], 0, "it was never large");
}
