//! Requests that are almost right: each is answered or refused, in the dialect of its path, and never with a 5xx.
//!
//! A few thousand in every run; `tools/mutate` sends a million to an optimized build.
#![expect(clippy::print_stdout, reason = "how to repeat a run, and what came of it")]

use std::collections::BTreeMap;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{TestGateway, tokens::TokenBuilder};

/// Connections at a time.
const CONNECTIONS: usize = 4;

const JSON_LENGTH: &str = "inference-header-content-length";

/// A request that is right.
#[derive(Clone)]
struct Seed {
    path: &'static str,
    content_type: &'static str,
    /// The length of the JSON, where bytes follow it.
    json_length: Option<usize>,
    body: Vec<u8>,
}

fn seed(path: &'static str, body: &Value) -> Seed {
    Seed { path, content_type: "application/json", json_length: None, body: body.to_string().into_bytes() }
}

fn binary_seed(path: &'static str, json: &Value, binary: &[u8]) -> Seed {
    let json = json.to_string().into_bytes();
    let json_length = Some(json.len());
    Seed { path, content_type: "application/octet-stream", json_length, body: [&json, binary].concat() }
}

fn seeds() -> Vec<Seed> {
    let row = [5.1_f32, 3.5, 1.4, 0.2];
    let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
    let tensor = |datatype: &str, shape: Value, data: Value| json!({"name": "x", "datatype": datatype, "shape": shape, "data": data});
    let iris = json!({"id": "a", "parameters": {"binary_data_output": false, "timeout": 1_000_000},
        "inputs": [{"name": "features", "shape": [2, 4], "datatype": "FP32",
            "data": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}, {"name": "label"}]});
    let of_bytes = json!({"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32",
        "parameters": {"binary_data_size": 16}}], "outputs": [{"name": "label", "parameters": {"binary_data": true}}]});
    let raw = Seed {
        path: "/v2/models/iris/infer",
        content_type: "application/octet-stream",
        json_length: Some(0),
        body: bytes.clone(),
    };
    vec![
        seed("/predict", &json!({"features": row})),
        seed(
            "/predict",
            &json!({"features": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4,
            "petal_width": 0.2}}),
        ),
        seed("/models/iris/predict", &json!({"instances": [row, row]})),
        seed(
            "/models/iris/versions/1/predict",
            &json!({"inputs": {"features": {"shape": [1, 4], "data": row}}}),
        ),
        seed("/v2/models/iris/infer", &iris),
        seed("/v2/models/iris/versions/1/infer", &iris),
        binary_seed("/v2/models/iris/infer", &of_bytes, &bytes),
        raw,
        seed(
            "/v2/models/texts/infer",
            &json!({"inputs": [tensor("BYTES", json!([2, 1]), json!(["a", "größer"]))]}),
        ),
        seed(
            "/v2/models/half/infer",
            &json!({"inputs": [tensor("FP16", json!([1, 2]), json!([1.5, "NaN"]))]}),
        ),
        seed(
            "/v2/models/unsigned/infer",
            &json!({"inputs": [tensor("UINT64", json!([3]), json!([0, 1, u64::MAX]))]}),
        ),
        seed("/v2/repository/index", &json!({"ready": true})),
    ]
}

/// What takes the place of a value.
const VALUES: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1.5",
    "1e999",
    "1e39",
    "-1e39",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "NaN",
    "-Infinity",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"NaN\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"features\"",
    "\"label\"",
    "[[]]",
    "{\"a\":[]}",
    "65536",
    "0x1",
];

fn mutated(seed: &Seed, random: &mut StdRng) -> Seed {
    let mut seed = seed.clone();
    for _ in 0..random.random_range(1..4) {
        mutate(&mut seed, random);
    }
    seed
}

fn mutate(seed: &mut Seed, random: &mut StdRng) {
    let body = &mut seed.body;
    let length = body.len();
    if length == 0 {
        body.push(random.random());
        return;
    }
    let at = random.random_range(0..length);
    let until = random.random_range(at..length.min(at + 40));
    match random.random_range(0..9) {
        0 => body[at] = random.random(),
        1 => body[at] ^= 1 << random.random_range(0..8),
        2 => body.truncate(at),
        3 => drop(body.drain(at..until)),
        4 => {
            let part = body[at..until].to_vec();
            let place = random.random_range(0..length);
            body.splice(place..place, part);
        }
        5 | 6 => replace_value(body, at, random),
        7 => {
            let depth = random.random_range(1..300);
            body.splice(at..at, std::iter::repeat_n(*b"[{\"".choose(random).unwrap(), depth));
        }
        _ => {
            let length = i64::try_from(length).unwrap();
            let json_length = random.random_range(-1..length + 2);
            seed.json_length = usize::try_from(json_length).ok();
        }
    }
}

/// Replaces the number or text at this place, or the next one.
fn replace_value(body: &mut Vec<u8>, at: usize, random: &mut StdRng) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._\"".contains(byte);
    let Some(start) = body[at..].iter().position(is_part).map(|offset| at + offset) else { return };
    let start = body[..start].iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    let end =
        body[start..].iter().position(|byte| !is_part(byte)).map_or(body.len(), |offset| start + offset);
    body.splice(start..end, VALUES.choose(random).unwrap().bytes());
}

/// A connection that is made anew when it was closed.
struct Connection {
    address: std::net::SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    async fn sender(&mut self) -> &mut SendRequest<Full<Bytes>> {
        let is_open = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            let stream = TcpStream::connect(self.address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender.ready().await.unwrap();
            self.sender = Some(sender);
        }
        self.sender.as_mut().unwrap()
    }

    async fn send(&mut self, seed: &Seed, token: &str) -> (u16, Bytes) {
        let mut request = Request::post(seed.path)
            .header("host", "gateway")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", seed.content_type);
        if let Some(length) = seed.json_length {
            request = request.header(JSON_LENGTH, length);
        }
        let request = request.body(Full::new(Bytes::from(seed.body.clone()))).unwrap();
        let answer = self.sender().await.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }
}

/// Whether an error has the form of its dialect.
fn is_error(seed: &Seed, status: u16, body: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return false };
    if seed.path.starts_with("/v2") { document["error"].is_string() } else { document["status"] == status }
}

async fn send_mutations(gateway: &TestGateway, count: usize, number: u64) -> BTreeMap<u16, usize> {
    let token = TokenBuilder::new().claim("exp", (crate::support::tokens::now() + 7200).into()).build();
    let mut connection = Connection { address: gateway.address(), sender: None };
    let mut random = StdRng::seed_from_u64(number);
    let seeds = seeds();
    let mut statuses = BTreeMap::new();
    for seed in &seeds {
        let (status, body) = connection.send(seed, &token).await;
        assert_eq!(status, 200, "{}: {}", seed.path, String::from_utf8_lossy(&body));
    }
    for _ in 0..count {
        let request = mutated(seeds.choose(&mut random).unwrap(), &mut random);
        let (status, body) = connection.send(&request, &token).await;
        // A request may say that it waits for microseconds only.
        let own_timeout = status == 504
            && String::from_utf8_lossy(&body).contains("the request took longer than its own timeout");
        let is_right = status == 200 || ((status < 500 || own_timeout) && is_error(&request, status, &body));
        assert!(
            is_right,
            "{} {:?} {:?}: {status} {:?}",
            request.path,
            request.json_length,
            String::from_utf8_lossy(&request.body),
            String::from_utf8_lossy(&body)
        );
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mutated_request_is_answered_with_a_5xx() {
    let wanted = std::env::var("MUTATIONS").ok().map(|text| text.parse::<usize>().expect("a number"));
    let count = wanted.unwrap_or(6000) / CONNECTIONS;
    let builder = TestGateway::builder();
    // What overflows in half the precision is an answer here, so that no 500 is the model's own.
    let allow = b"[contract]\nnon_finite_outputs = \"allow\"\n";
    builder.repository.put("half.toml", allow);
    let gateway = builder
        .settings(|settings| settings.models.default = Some("iris".parse().unwrap()))
        .model("texts.onnx", "kinds/texts")
        .model("half.onnx", "kinds/half")
        .model("unsigned.onnx", "kinds/unsigned")
        .start()
        .await;
    // Others in each run, unless they are told which.
    let first = std::env::var("MUTATIONS_SEED").ok().map(|text| text.parse().expect("a number"));
    let first: u64 = first.unwrap_or_else(|| rand::rng().random());
    println!("MUTATIONS_SEED={first}");
    let senders =
        (0..CONNECTIONS).map(|number| send_mutations(&gateway, count, first.wrapping_add(number as u64)));
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for counted in futures_of(senders).await {
        for (status, count) in counted {
            *statuses.entry(status).or_default() += count;
        }
    }
    println!("{} mutated requests: {statuses:?}", statuses.values().sum::<usize>());
    assert!(statuses[&200] > 0 && statuses[&400] > 0 && statuses[&422] > 0, "{statuses:?}");
}

/// All of them side by side, on the thread of the test.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}
