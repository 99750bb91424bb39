//! The memory that one large request takes at most, and that it is given back.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use onnx_gateway::{protocols::open_inference::grpc::proto::ModelInferRequest, system::memory::status_bytes};
use serde_json::json;

use crate::support::{
    PATIENCE,
    binary::{Process, command, free_port},
    grpc::{client_at, input},
    repository::Repository,
    table,
    tokens::{SECRET, TokenBuilder},
};

/// The size of the bodies, unpacked.
const BODY_BYTES: usize = 8 << 20;

/// Says how many bytes of a body are JSON.
const LENGTH: &str = "inference-header-content-length";

/// Numbers in a row.
const COLUMNS: usize = 64;

/// Memory that any request may take: stacks, connections, code that is loaded when it is first run.
const CONSTANT_BYTES: u64 = 12 << 20;

/// Memory that the allocator may keep between requests: 4 MiB at the end of the heap of each thread that read one.
const KEPT_BYTES: u64 = 20 << 20;

/// A gateway in a process of its own, with a model of small answers, and one of answers as large as the request.
struct Gateway {
    process: Process,
    _repository: Repository,
    address: SocketAddr,
    grpc: SocketAddr,
}

impl Gateway {
    fn start() -> Self {
        let repository = Repository::new();
        for model in ["wide_sum", "wide_sizes"] {
            repository.put_test_model(&format!("{model}/1/model.onnx"), model);
        }
        let [address, grpc] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut command = command();
        command
            .current_dir(repository.path())
            .env("GATEWAY__SERVER__LISTEN", address.to_string())
            .env("GATEWAY__SERVER__MAX_BODY_BYTES", (2 * BODY_BYTES).to_string())
            .env("GATEWAY__SERVER__MAX_TENSOR_BODY_BYTES", (2 * BODY_BYTES).to_string())
            .env("GATEWAY__SERVER__BODY_TIMEOUT_MS", "60000")
            .env("GATEWAY__SERVER__REQUEST_TIMEOUT_MS", "120000")
            .env("GATEWAY__GRPC__LISTEN", grpc.to_string())
            .env("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0")
            .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
            .env("GATEWAY__RATE_LIMIT__ENABLED", "false")
            .env("GATEWAY__MODELS__REPOSITORY", repository.path())
            .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state());
        let process = Process::serve(command);
        // The other one.
        process.wait_for_line("a version was put into service");
        Self { process, _repository: repository, address, grpc }
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        status_bytes(&status, field).unwrap()
    }

    /// Forgets the greatest size so far; the size now.
    fn begin(&self) -> u64 {
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
        self.status("VmRSS:")
    }

    async fn post(&self, path: &str, content_type: &str, headers: &[(&str, String)], body: Vec<u8>) -> u16 {
        let mut request = reqwest::Client::new()
            .post(format!("http://{}{path}", self.address))
            .bearer_auth(TokenBuilder::new().build())
            .header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = request.body(body).send().await.unwrap();
        while answer.chunk().await.unwrap().is_some() {}
        answer.status().as_u16()
    }

    /// Memory of its own, without the code that was loaded.
    fn own(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// Waits until the process holds nearly as little again as it did.
    async fn shrinks_to(&self, size: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.own() > size + KEPT_BYTES {
            assert!(Instant::now() < deadline, "{} bytes are left, {size} were before", self.own());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The greatest growth, as tenths of the body's size.
fn tenths(peak: u64) -> u64 {
    peak.saturating_sub(CONSTANT_BYTES) * 10 / BODY_BYTES as u64
}

/// As many rows of numbers as the body holds, each between these.
fn rows(open: &str, close: &str) -> (String, usize) {
    let row = format!("{open}{}{close}", ["1.234567"; COLUMNS].join(","));
    let count = BODY_BYTES / (row.len() + 1);
    (vec![row; count].join(","), count)
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The largest request of each form, with a name for it, and how many tenths of its size it may take.
fn requests() -> Vec<(&'static str, &'static str, String, u64)> {
    let (nested, count) = rows("[", "]");
    let (flat, flat_count) = rows("", "");
    let v2 = |data: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{count},{COLUMNS}],"data":[{data}]}}]}}"#
        )
    };
    let short = BODY_BYTES / (2 * COLUMNS);
    let flat_shape = format!(r#""shape":[{flat_count},{COLUMNS}]"#);
    let objects = rows(r#"{"x":["#, "]}").0;
    let mut wrong = nested.clone();
    let _ = write!(wrong, r#",["x"{}]"#, ",1".repeat(COLUMNS - 1));
    let ones = vec![format!("[{}]", vec!["1"; COLUMNS].join(",")); short].join(",");
    vec![
        ("native rows", "/models/wide_sum/predict", format!(r#"{{"instances":[{nested}]}}"#), 30),
        // What is unusual is read another way.
        (
            "unusual native rows",
            "/models/wide_sum/predict",
            format!(r#"{{"features":null,"instances":[{nested}]}}"#),
            30,
        ),
        ("wrong native rows", "/models/wide_sum/predict", format!(r#"{{"instances":[{wrong}]}}"#), 30),
        ("native tensors", "/models/wide_sum/predict", format!(r#"{{"inputs":{{"x":[{nested}]}}}}"#), 30),
        (
            "flat native tensors",
            "/models/wide_sum/predict",
            format!(r#"{{"inputs":{{"x":{{{flat_shape},"data":[{flat}]}}}}}}"#),
            30,
        ),
        ("/v2 as JSON", "/v2/models/wide_sum/infer", v2(&nested), 30),
        ("/v1 rows", "/v1/models/wide_sum:predict", format!(r#"{{"instances":[{nested}]}}"#), 30),
        ("/v1 objects", "/v1/models/wide_sum:predict", format!(r#"{{"instances":[{objects}]}}"#), 30),
        ("/v1 columns", "/v1/models/wide_sum:predict", format!(r#"{{"inputs":[{nested}]}}"#), 30),
        // Each number has two bytes as text, and four as an element.
        ("numbers of one digit", "/v1/models/wide_sum:predict", format!(r#"{{"instances":[{ones}]}}"#), 32),
        ("a large answer", "/v1/models/wide_sizes:predict", format!(r#"{{"instances":[{nested}]}}"#), 30),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_json_request_takes_three_times_its_size_at_most() {
    let gateway = Gateway::start();
    let idle = gateway.own();
    table::each_async(requests(), async |(name, path, body, most)| {
        let coding = [("content-encoding", "gzip".to_owned())];
        let is_also_packed = ["native rows", "/v2 as JSON", "/v1 rows"].contains(&name);
        let packed = is_also_packed.then(|| (packed(body.as_bytes()), &coding[..]));
        for (body, headers) in [(body.into_bytes(), &[][..])].into_iter().chain(packed) {
            gateway.shrinks_to(idle).await;
            let before = gateway.begin();
            let status = gateway.post(path, "application/json", headers, body).await;
            assert_eq!(status, if name.starts_with("wrong") { 422 } else { 200 }, "{name}");
            let taken = tenths(gateway.status("VmHWM:").saturating_sub(before));
            assert!(taken <= most, "{name}, {headers:?}: {taken} tenths of its size");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_take_little_more_than_their_text() {
    let gateway = Gateway::start();
    let idle = gateway.own();
    let model = [("x-amzn-sagemaker-target-model", "wide_sum".to_owned())];
    let row = ["1"; COLUMNS].join(",");
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("{column}")).collect();
    let csv = |count: usize| format!("{}\n{}", names.join(","), format!("{row}\n").repeat(count));
    let split =
        |count: usize| json!({"dataframe_split": {"data": vec![vec![1; COLUMNS]; count]}}).to_string();
    // More values are refused.
    let count = (1 << 20) / COLUMNS - 1;
    let forms = [("text/csv", csv(1), csv(count)), ("application/json", split(1), split(count))];
    // The code of a form is loaded when it is first run, and that of a debug build is large.
    for (content_type, small, _) in &forms {
        let status = gateway.post("/invocations", content_type, &model, small.clone().into_bytes()).await;
        assert_eq!(status, 200, "{content_type}");
    }
    for (content_type, _, body) in forms {
        gateway.shrinks_to(idle).await;
        let before = gateway.begin();
        let size = body.len() as u64;
        let status = gateway.post("/invocations", content_type, &model, body.into_bytes()).await;
        assert_eq!(status, 200, "{content_type}");
        let taken = gateway.status("VmHWM:").saturating_sub(before);
        assert!(taken <= 4 * size + CONSTANT_BYTES, "{content_type}: {taken} for {size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_binary_tensor_takes_less_than_twice_its_size() {
    let gateway = Gateway::start();
    let idle = gateway.own();
    let count = BODY_BYTES / (4 * COLUMNS);
    let numbers: Vec<u8> = 1.5_f32.to_le_bytes().repeat(count * COLUMNS);
    let head = |name: &str| {
        json!({
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [count, COLUMNS],
                "parameters": {"binary_data_size": numbers.len()}}],
            "outputs": [{"name": "y", "parameters": {"binary_data": true}}],
            "id": name,
        })
        .to_string()
    };
    let model = ("x-amzn-sagemaker-target-model", "wide_sum".to_owned());
    // Of several lengths, so that the numbers begin everywhere.
    let mut requests = vec![("/v2/models/wide_sum/infer", 20, None, vec![(LENGTH, "0".to_owned())])];
    for id in ["a", "ab", "abc", "abcd"] {
        let head = head(id);
        let length = head.len();
        requests.push((
            "/v2/models/wide_sum/infer",
            20,
            Some(head.clone()),
            vec![(LENGTH, length.to_string())],
        ));
        requests.push(("/invocations", 20, Some(head.clone()), vec![model.clone()]));
        // The answer is as large: it is sent from where the model wrote it.
        requests.push(("/v2/models/wide_sizes/infer", 22, Some(head), vec![(LENGTH, length.to_string())]));
    }
    table::each_async(requests, async |(path, most, head, headers)| {
        let head = head.unwrap_or_default();
        let content_type = if path == "/invocations" {
            format!("application/vnd.sagemaker-triton.binary+json;json-header-size={}", head.len())
        } else {
            "application/octet-stream".to_owned()
        };
        let body = [head.as_bytes(), &numbers].concat();
        // Twice: the code was given back after the start, and the first request has it loaded again.
        assert_eq!(gateway.post(path, &content_type, &headers, body.clone()).await, 200, "{path} {head}");
        gateway.shrinks_to(idle).await;
        let before = gateway.begin();
        assert_eq!(gateway.post(path, &content_type, &headers, body).await, 200, "{path} {head}");
        let taken = tenths(gateway.status("VmHWM:").saturating_sub(before));
        assert!(taken < most, "{path} {head}: {taken} tenths of its size");
    })
    .await;
    let token = TokenBuilder::new().build();
    for id in ["a", "ab", "abc", "abcd"] {
        gateway.shrinks_to(idle).await;
        let before = gateway.begin();
        let shape = [count, COLUMNS].map(|size| i64::try_from(size).unwrap());
        let message = ModelInferRequest {
            model_name: "wide_sum".to_owned(),
            id: id.to_owned(),
            inputs: vec![input("x", "FP32", &shape, None)],
            raw_input_contents: vec![numbers.clone().into()],
            ..ModelInferRequest::default()
        };
        let mut client = client_at(gateway.grpc, Some(token.clone())).max_encoding_message_size(usize::MAX);
        client.model_infer(message).await.unwrap();
        let taken = tenths(gateway.status("VmHWM:").saturating_sub(before));
        assert!(taken < 20, "gRPC, id {id}: {taken} tenths of its size");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_many_large_requests_is_given_back() {
    let gateway = Gateway::start();
    let idle = gateway.own();
    let requests = requests();
    let (_, path, body, _) = &requests[1];
    let part = BODY_BYTES / 8;
    // Shorter ones, of which the allocator would keep more.
    let end = body[..part].rfind("],").unwrap();
    let body = format!("{}]]}}", &body[..end]);
    let asked = (0..16).map(|_| gateway.post(path, "application/json", &[], body.clone().into_bytes()));
    let answered = futures_util::future::join_all(asked).await;
    assert!(answered.iter().all(|status| *status == 200), "{answered:?}");
    gateway.shrinks_to(idle).await;
}
