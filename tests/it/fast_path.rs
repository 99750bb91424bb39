//! Common requests take a fast path past the layers. Each is sent along both paths here, and all of the responses is
//! compared.

use onnx_gateway::config::{Secret, Settings};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    PATIENCE, TestGateway, setosa, table,
    tokens::{SigningKey, TokenBuilder, now},
};

/// How a request is sent. All mean the same.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RequestPath {
    /// Nothing about it is unusual.
    Short,
    Charset,
    Query,
    Halves,
    Chunked,
    /// With headers that the fast path does not know.
    Unknown,
    /// As CSV, and no more unusual than `Short`.
    Csv,
}

const LONG: [RequestPath; 5] = [
    RequestPath::Charset,
    RequestPath::Query,
    RequestPath::Halves,
    RequestPath::Chunked,
    RequestPath::Unknown,
];

/// Headers that no layer reads today and another version may.
const UNKNOWN: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
                       origin: https://models.example\r\nx-tenant: a\r\n";

/// An answer as it came.
#[derive(Clone, Debug, PartialEq)]
struct Raw {
    status: u16,
    /// Sorted, without the date.
    headers: Vec<(String, String)>,
    body: String,
}

impl Raw {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_default();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let mut headers: Vec<_> = lines.map(header).filter(|(name, _)| name != "date").collect();
        headers.sort();
        Self { status, headers, body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Without its id, which is in the headers alone or in a problem document too, and without how long to wait.
    fn comparable(mut self) -> Self {
        self.headers
            .retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "retry-after" | "ratelimit"));
        if self.status == 429 {
            self.headers.retain(|(name, _)| name != "content-length");
            self.body.retain(|letter| !letter.is_ascii_digit());
        }
        self
    }
}

/// Sends bytes as they are and reads until the connection is closed.
async fn exchange(gateway: &TestGateway, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for part in parts {
        stream.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    // A connection that is reset has still said what it said before.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asks with these further headers, each a line.
async fn ask(
    gateway: &TestGateway,
    way: RequestPath,
    path: &str,
    further: &str,
    body: impl AsRef<[u8]>,
) -> Raw {
    let body = body.as_ref();
    let query = if way == RequestPath::Query { "?a=b" } else { "" };
    let charset = if way == RequestPath::Charset { "; charset=utf-8" } else { "" };
    let length = if way == RequestPath::Chunked {
        "transfer-encoding: chunked".to_owned()
    } else {
        format!("content-length: {}", body.len())
    };
    let kind = if way == RequestPath::Csv { "text/csv" } else { "application/json" };
    let unknown = if way == RequestPath::Unknown { UNKNOWN } else { "" };
    let head = format!(
        "POST {path}{query} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\
         content-type: {kind}{charset}\r\n{length}\r\n{unknown}{further}\r\n"
    );
    let head = head.as_bytes();
    let answer = match way {
        RequestPath::Chunked => {
            let size = format!("{:x}\r\n", body.len());
            exchange(gateway, &[&[head, size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()]).await
        }
        RequestPath::Halves => {
            let (first, second) = body.split_at(body.len() / 2);
            exchange(gateway, &[head, first, second]).await
        }
        _ => exchange(gateway, &[&[head, body].concat()]).await,
    };
    Raw::of(&answer)
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Asks by every way, and answers what all of them were answered.
async fn compare(gateway: &TestGateway, path: &str, further: &str, body: impl AsRef<[u8]>) -> Raw {
    let body = body.as_ref();
    let expected = ask(gateway, RequestPath::Short, path, further, body).await;
    for way in LONG {
        let answer = ask(gateway, way, path, further, body).await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(answer.comparable(), expected.clone().comparable(), "{way:?} {path} {text:.80}");
    }
    expected
}

#[tokio::test]
async fn every_body_is_answered_alike() {
    let builder = TestGateway::builder().model("scalar.onnx", "kinds/scalar");
    let builder = builder.model("square_root.onnx", "square_root").model("quotient.onnx", "quotient");
    let gateway = builder.settings(|settings| settings.models.default = Some("iris".parse().unwrap()));
    let gateway = gateway.start().await;
    let token = bearer(&TokenBuilder::new().build());
    assert_eq!(
        ask(&gateway, RequestPath::Short, "/predict", &token, &setosa().to_string()).await.status,
        200
    );
    let rows = |count: usize| json!({"instances": vec![json!([5.1, 3.5, 1.4, 0.2]); count]}).to_string();
    let named = r#"{"features":{"petal_width":2.3,"sepal_length":6.7,"sepal_width":3,"petal_length":5.2}}"#;
    let bodies = [
        (setosa().to_string(), 200),
        (r#"{"features":[6.7,3.0,5.2,2.3]}"#.to_owned(), 200),
        (" { \"features\" : [ 6.7 , 3 , 52e-1 , 2.3 ] } \n".to_owned(), 200),
        (rows(1), 200),
        (rows(7), 200),
        (named.to_owned(), 200),
        (r#"{"features":[1000,3.5,1.4,0.2]}"#.to_owned(), 422),
        (r#"{"features":[5.1,3.5,1.4]}"#.to_owned(), 422),
        (r#"{"features":[5.1,3.5,1.4,0.2,1]}"#.to_owned(), 422),
        (r#"{"features":[1e400,3.5,1.4,0.2]}"#.to_owned(), 400),
        (r#"{"features":[1e39,3.5,1.4,0.2]}"#.to_owned(), 422),
        (r#"{"features":[null,3.5,1.4,0.2]}"#.to_owned(), 422),
        (r#"{"features":[]}"#.to_owned(), 422),
        (r#"{"instances":[]}"#.to_owned(), 422),
        (r#"{"instances":[[]]}"#.to_owned(), 422),
        (r#"{"features":[5.1,3.5,1.4,0.2]}}"#.to_owned(), 400),
        (r#"{"features":[5.1,3.5,1.4,0.2],"features":[5.1,3.5,1.4,0.2]}"#.to_owned(), 422),
        (r#"{"features":[5.1,3.5,1.4,0.2],"more":1}"#.to_owned(), 422),
        (r#"{"features":[05.1,3.5,1.4,0.2]}"#.to_owned(), 400),
        (r#"{"features":[NaN,3.5,1.4,0.2]}"#.to_owned(), 400),
        ("{}".to_owned(), 422),
        ("no JSON".to_owned(), 400),
        (rows(2000), 200),
        (rows(20_000), 200),
    ];
    table::each_async(&bodies, async |(body, status)| {
        for path in ["/predict", "/models/iris/predict"] {
            let answer = compare(&gateway, path, &token, body).await;
            assert_eq!(answer.status, *status, "{body:.80}: {answer:?}");
        }
    })
    .await;
    let cases = [
        ("/models/scalar/predict", r#"{"features":[1]}"#, 422),
        ("/models/rose/predict", r#"{"features":[1]}"#, 404),
        ("/models/square_root/predict", r#"{"features":[9]}"#, 200),
        ("/models/square_root/predict", r#"{"features":[-1]}"#, 422),
        ("/models/quotient/predict", r#"{"features":[7,2]}"#, 200),
        ("/models/quotient/predict", r#"{"features":[-9223372036854775808,2]}"#, 422),
    ];
    table::each_async(cases, async |(path, body, status)| {
        let answer = compare(&gateway, path, &token, body).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    })
    .await;
}

/// A body of tensors whose first bytes are JSON, and the header that says how many.
fn in_bytes(document: &Value, rows: &[[f32; 4]]) -> (String, Vec<u8>) {
    let json = document.to_string().into_bytes();
    let header = format!("inference-header-content-length: {}\r\n", json.len());
    let elements = rows.iter().flatten().flat_map(|element| element.to_le_bytes());
    (header, json.into_iter().chain(elements).collect())
}

fn tensor(rows: usize) -> Value {
    let data = [5.1, 3.5, 1.4, 0.2].repeat(rows);
    json!({"name": "features", "datatype": "FP32", "shape": [rows, 4], "data": data})
}

#[tokio::test]
async fn tensors_are_answered_alike() {
    let gateway = TestGateway::builder().model("square_root.onnx", "square_root").start().await;
    let token = bearer(&TokenBuilder::new().build());
    let root = |number: f32| json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [number]}]});
    let changed = |name: &str, value: Value| {
        let mut body = json!({"id": "one", "inputs": [tensor(1)]});
        body[name] = value;
        body
    };
    let infer = "/v2/models/iris/infer";
    let cases = [
        (infer, json!({"inputs": [tensor(1)]}), 200),
        ("/v2/models/iris/versions/1/infer", json!({"inputs": [tensor(2)]}), 200),
        (infer, json!({"inputs": [tensor(300)]}), 200),
        (infer, json!({"inputs": [tensor(2000)]}), 200),
        (infer, changed("outputs", json!([{"name": "probabilities"}])), 200),
        (
            infer,
            changed("outputs", json!([{"name": "probabilities", "parameters": {"classification": 2}}])),
            200,
        ),
        (infer, changed("parameters", json!({"binary_data_output": true})), 200),
        (infer, changed("parameters", json!({"priority": 3, "timeout": 5_000_000})), 200),
        (infer, changed("parameters", json!({"timeout": 1.5})), 400),
        (infer, changed("outputs", json!([{"name": "rose"}])), 400),
        (infer, changed("inputs", json!([])), 400),
        (infer, changed("inputs", json!([tensor(1), tensor(1)])), 400),
        (
            infer,
            changed(
                "inputs",
                json!([{"name": "features", "datatype": "FP32", "shape": [2, 4], "data": [1]}]),
            ),
            400,
        ),
        (
            infer,
            changed(
                "inputs",
                json!([{"name": "features", "datatype": "INT64", "shape": [1, 4], "data": [1, 2, 3, 4]}]),
            ),
            400,
        ),
        (infer, json!({}), 400),
        (infer, json!([]), 400),
        ("/v2/models/rose/infer", json!({"inputs": [tensor(1)]}), 404),
        ("/v2/models/iris/versions/9/infer", json!({"inputs": [tensor(1)]}), 404),
        ("/v2/models/square_root/infer", root(9.0), 200),
        ("/v2/models/square_root/infer", root(-1.0), 400),
    ];
    table::each_async(cases, async |(path, body, status)| {
        let answer = compare(&gateway, path, &token, body.to_string()).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
    })
    .await;
    for further in
        ["", "accept-encoding: identity\r\n", "accept-encoding: gzip\r\n", "accept-encoding: *;q=0\r\n"]
    {
        let further = format!("{token}{further}");
        for body in [json!({"inputs": [tensor(300)]}), json!({"id": "one"})] {
            compare(&gateway, infer, &further, body.to_string()).await;
        }
    }
    assert_eq!(compare(&gateway, infer, &token, "no JSON").await.status, 400);
    assert_eq!(compare(&gateway, infer, "", json!({"inputs": [tensor(1)]}).to_string()).await.status, 401);
}

#[tokio::test]
async fn bodies_of_kserve_v1_are_answered_alike() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let predict = "/v1/models/iris:predict";
    let row = json!([5.1, 3.5, 1.4, 0.2]);
    let cases = [
        (predict, json!({"instances": [row]}), 200),
        (predict, json!({"instances": vec![row.clone(); 300]}), 200),
        (predict, json!({"inputs": {"features": [row]}}), 200),
        (predict, json!({"instances": [{"sepal_length": 5.1}]}), 400),
        (predict, json!({"instances": [[5.1, 3.5, 1.4]]}), 400),
        (predict, json!({"instances": []}), 400),
        (predict, json!({"instances": [row], "inputs": [row]}), 400),
        (predict, json!([]), 400),
        ("/v1/models/rose:predict", json!({"instances": [row]}), 404),
        ("/v1/models/iris:guess", json!({"instances": [row]}), 404),
    ];
    table::each_async(cases, async |(path, body, status)| {
        for further in ["", "accept-encoding: gzip\r\n"] {
            let answer = compare(&gateway, path, &format!("{token}{further}"), body.to_string()).await;
            assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        }
    })
    .await;
    let builder = TestGateway::builder().settings(|settings| settings.dialects.kserve_v1 = false);
    let gateway = builder.start().await;
    let body = json!({"instances": [row]}).to_string();
    assert_eq!(compare(&gateway, predict, &token, &body).await.status, 404);
}

#[tokio::test]
async fn bodies_of_mlflow_and_sagemaker_are_answered_alike() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let (path, row) = ("/invocations", json!([5.1, 3.5, 1.4, 0.2]));
    let columns = json!(["sepal_length", "sepal_width", "petal_length", "petal_width"]);
    let cases = [
        (json!({"dataframe_split": {"columns": columns, "data": [row]}}), 200),
        (json!({"dataframe_split": {"columns": columns, "data": vec![row.clone(); 300]}}), 200),
        (json!({"instances": [row]}), 200),
        (json!({"inputs": {"features": [row]}}), 200),
        (json!({"inputs": [tensor(1)]}), 200),
        (json!({"inputs": [tensor(300)]}), 200),
        (json!({"dataframe_split": {"columns": columns, "data": [[5.1]]}}), 400),
        (json!({"dataframe_records": []}), 400),
        (json!({"inputs": [tensor(1), tensor(1)]}), 400),
        (json!({}), 400),
    ];
    table::each_async(cases, async |(body, status)| {
        for further in ["", "accept-encoding: gzip\r\n", "x-amzn-sagemaker-target-model: iris\r\n"] {
            let answer = compare(&gateway, path, &format!("{token}{further}"), body.to_string()).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
        }
    })
    .await;
    let csv = RequestPath::Csv;
    let text = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n";
    let answer = ask(&gateway, csv, path, &token, text).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let slow = ask(&gateway, csv, path, &format!("{token}{UNKNOWN}"), text).await;
    assert_eq!(answer.comparable(), slow.comparable());
    let body = json!({"instances": [row]}).to_string();
    for (mlflow, sagemaker, status) in [(false, true, 400), (true, false, 200), (false, false, 404)] {
        let builder = TestGateway::builder().settings(|settings| {
            settings.dialects.mlflow = mlflow;
            settings.dialects.sagemaker = sagemaker;
        });
        let gateway = builder.start().await;
        assert_eq!(compare(&gateway, path, &token, &body).await.status, status, "{mlflow} {sagemaker}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_change_no_response_to_programs() {
    let token = bearer(&TokenBuilder::new().build());
    for origin in ["https://app.example.com", "*"] {
        let builder = TestGateway::builder();
        let gateway = builder.settings(|settings| settings.cors.allowed_origins = vec![origin.to_owned()]);
        let gateway = gateway.start().await;
        let (row, tensors) = (setosa().to_string(), json!({"inputs": [tensor(1)]}).to_string());
        for (path, body) in [("/predict", row), ("/v2/models/iris/infer", tensors)] {
            let answer = compare(&gateway, path, &token, &body).await;
            assert_eq!(answer.status, 200);
            assert!(answer.header("access-control-expose-headers").is_some(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn tensors_in_bytes_are_answered_alike() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let document = |shape: usize, size: usize, output: bool| {
        let parameters = json!({"binary_data_size": size});
        let tensor =
            json!({"name": "features", "datatype": "FP32", "shape": [shape, 4], "parameters": parameters});
        json!({"id": "one", "inputs": [tensor], "parameters": {"binary_data_output": output}})
    };
    let rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]];
    let infer = "/v2/models/iris/infer";
    for (shape, size, output, status) in
        [(2, 32, false, 200), (2, 32, true, 200), (2, 28, true, 400), (3, 32, true, 400), (2, 36, true, 400)]
    {
        let (header, body) = in_bytes(&document(shape, size, output), &rows);
        let answer = compare(&gateway, infer, &format!("{token}{header}"), &body).await;
        assert_eq!(answer.status, status, "{shape} {size}: {answer:?}");
        // A length of the JSON that is not one.
        for wrong in ["inference-header-content-length: x\r\n", "inference-header-content-length: 99999\r\n"]
        {
            assert_eq!(compare(&gateway, infer, &format!("{token}{wrong}"), &body).await.status, 400);
        }
    }
    let raw: Vec<u8> = rows[0].into_iter().flat_map(f32::to_le_bytes).collect();
    let header = format!("{token}inference-header-content-length: 0\r\n");
    assert_eq!(compare(&gateway, infer, &header, &raw).await.status, 200);
    assert_eq!(compare(&gateway, infer, &header, &raw[1..]).await.status, 400);
}

#[tokio::test]
async fn tensors_charge_quotas_once_and_are_counted() {
    for (address, caller) in [(6, 1000), (1000, 6)] {
        let gateway = TestGateway::builder().settings(quotas(address, caller)).start().await;
        let token = bearer(&TokenBuilder::new().build());
        let (infer, body) = ("/v2/models/iris/infer", json!({"inputs": [tensor(1)]}).to_string());
        for way in [RequestPath::Query, RequestPath::Short, RequestPath::Short, RequestPath::Chunked] {
            assert_eq!(ask(&gateway, way, infer, &token, &body).await.status, 200);
        }
        for _ in 0..2 {
            assert_eq!(ask(&gateway, RequestPath::Short, infer, &token, "{}").await.status, 400);
        }
        let answer = compare(&gateway, infer, &token, &body).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        let metrics =
            gateway.metrics_until(|metrics| metrics.contains("gateway_requests_in_flight 0\n")).await;
        for (status, count) in [(200, 4), (400, 2), (429, 6)] {
            let line = format!(
                r#"gateway_requests_total{{method="POST",route="/v2/models/{{model}}/infer",status="{status}"}} {count}"#
            );
            assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
        }
    }
}

#[tokio::test]
async fn tokens_are_believed_no_longer_by_the_short_way() {
    let gateway = TestGateway::start().await;
    let body = setosa().to_string();
    let status = async |token: &str| compare(&gateway, "/predict", &bearer(token), &body).await.status;
    let timed = TokenBuilder::new().claim("nbf", json!(now())).claim("exp", json!(now() + 600)).build();
    assert_eq!((status(&timed).await, status(&timed).await), (200, 200));
    gateway.clock.advance(1200);
    assert_eq!(status(&timed).await, 401, "expired");
    gateway.clock.advance(-1200);
    assert_eq!(status(&timed).await, 200);
    gateway.clock.advance(-1200);
    assert_eq!(status(&timed).await, 401, "not valid yet");
    gateway.clock.advance(1200);

    let foreign = TokenBuilder::new().build_with(&SigningKey::secret(&"x".repeat(48)));
    assert_eq!((status(&foreign).await, status(&foreign).await), (401, 401));
    let other = TokenBuilder::new().scope("predict:other").build();
    assert_eq!((status(&other).await, status(&other).await), (403, 403));
    let reader = TokenBuilder::new().scope("read").build();
    assert_eq!((status(&reader).await, status(&reader).await), (403, 403));
    assert_eq!(compare(&gateway, "/predict", "", &body).await.status, 401);

    let new_secret = "another secret that is long enough for HS256 here";
    gateway.reload(|settings| settings.auth.signing_secret = Some(Secret::new(new_secret.to_owned())));
    assert_eq!(status(&timed).await, 401, "its key is gone");
    let new = TokenBuilder::new().build_with(&SigningKey::secret(new_secret));
    assert_eq!((status(&new).await, status(&new).await), (200, 200));
}

/// Few requests, which no test gets back.
pub fn quotas(address: u32, caller: u32) -> impl FnOnce(&mut Settings) {
    move |settings| {
        let limit = &mut settings.rate_limit;
        limit.enabled = true;
        (limit.per_address.requests, limit.per_address.period_seconds) = (address, 86_400);
        (limit.per_caller.requests, limit.per_caller.period_seconds) = (caller, 86_400);
    }
}

#[tokio::test]
async fn both_ways_charge_the_same_quotas_once() {
    let wrong = r#"{"features":[1000,3.5,1.4,0.2]}"#;
    for (address, caller, code) in [(9, 1000, "address_quota"), (1000, 9, "caller_quota")] {
        let gateway = TestGateway::builder().settings(quotas(address, caller)).start().await;
        let token = bearer(&TokenBuilder::new().build());
        let ways = [
            RequestPath::Short,
            RequestPath::Charset,
            RequestPath::Short,
            RequestPath::Query,
            RequestPath::Chunked,
            RequestPath::Short,
        ];
        let asks = ways.into_iter().map(|way| (way, setosa().to_string(), 200));
        // What turns out to be wrong goes the long way from the middle of the short one.
        let all = asks.chain((0..3).map(|_| (RequestPath::Short, wrong.to_owned(), 422)));
        for (way, body, status) in all {
            let answer = ask(&gateway, way, "/predict", &token, &body).await;
            assert_eq!(answer.status, status, "{way:?}: {answer:?}");
        }
        let answer = compare(&gateway, "/predict", &token, &setosa().to_string()).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.body.contains(code), "{answer:?}");
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 1);
    }
}

#[tokio::test]
async fn without_authentication_nobody_is_a_caller_with_a_quota() {
    let builder = TestGateway::builder().settings(quotas(1000, 1));
    let gateway = builder.settings(|settings| settings.auth.enabled = false).start().await;
    for _ in 0..2 {
        for further in ["", "authorization: Bearer whatever\r\n", "authorization: Basic eDp5\r\n"] {
            let answer = compare(&gateway, "/predict", further, &setosa().to_string()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn ids_are_kept_or_replaced_alike() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let body = setosa().to_string();
    for way in [RequestPath::Short, RequestPath::Short, RequestPath::Charset] {
        let id = async |line: &str| {
            let answer = ask(&gateway, way, "/predict", &format!("{token}{line}"), &body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.header("x-request-id").unwrap().to_owned()
        };
        assert_eq!(id("x-request-id: order-4711/a_b.c:d\r\n").await, "order-4711/a_b.c:d");
        for unsound in ["", "x-request-id: with space\r\n", "x-request-id: \r\n"] {
            let id = id(unsound).await;
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{way:?}: {id}");
        }
    }
}

#[tokio::test]
async fn both_ways_are_counted_alike() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let rows = json!({"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}).to_string();
    let statistics = async || {
        let answer = gateway.get("/v2/models/iris/stats").send().await.unwrap();
        let statistics: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let counts = statistics["model_stats"][0].clone();
        (counts["inference_count"].as_u64().unwrap(), counts["execution_count"].as_u64().unwrap())
    };
    let before = statistics().await;
    for way in [RequestPath::Charset, RequestPath::Short, RequestPath::Short, RequestPath::Query] {
        assert_eq!(ask(&gateway, way, "/models/iris/predict", &token, &rows).await.status, 200);
        assert_eq!(ask(&gateway, way, "/predict", &token, "{}").await.status / 100, 4);
        assert_eq!(ask(&gateway, way, "/predict", &token, &setosa().to_string()).await.status, 200);
    }
    let after = statistics().await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (12, 8));
    let metrics = gateway.metrics_until(|metrics| metrics.contains("gateway_requests_in_flight 0\n")).await;
    for line in [
        r#"gateway_requests_total{method="POST",route="/models/{model}/predict",status="200"} 4"#,
        r#"gateway_requests_total{method="POST",route="/predict",status="200"} 4"#,
        r#"gateway_request_duration_seconds_count{route="/predict"} 8"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_new_version_is_named_by_the_next_answer() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let body = setosa().to_string();
    let first = compare(&gateway, "/predict", &token, &body).await;
    gateway.repository.put_test_model("iris/2/model.onnx", "iris_retrained");
    gateway.predict_until(|answer| answer.body["version"] == "2").await;
    let second = compare(&gateway, "/predict", &token, &body).await;
    assert_eq!((first.header("x-model-version"), second.header("x-model-version")), (Some("1"), Some("2")));
    assert_ne!(first.header("x-model-digest"), second.header("x-model-digest"));
    assert!(second.body.contains(r#""version":"2""#), "{second:?}");
}

/// A head with further lines, and what follows it.
fn request(version: &str, token: &str, lines: &str, body: &str) -> String {
    format!(
        "POST /predict HTTP/{version}\r\nhost: gateway\r\n{token}content-type: application/json\r\n{lines}\r\n{body}"
    )
}

#[tokio::test]
async fn requests_are_told_apart_as_they_are_by_the_layers() {
    let gateway = TestGateway::start().await;
    let token = bearer(&TokenBuilder::new().build());
    let body = setosa().to_string();
    assert_eq!(ask(&gateway, RequestPath::Short, "/predict", &token, &body).await.status, 200);
    let length = format!("content-length: {}\r\n", body.len());
    let usual = request("1.1", &token, &length, &body);
    let last = request("1.1", &token, &format!("{length}connection: close\r\n"), &body);
    let answers = exchange(&gateway, &[format!("{usual}{usual}{usual}{last}").as_bytes()]).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4, "pipelined: {answers}");

    let old = exchange(&gateway, &[request("1.0", &token, &length, &body).as_bytes()]).await;
    assert_eq!(Raw::of(&old).status, 200, "{old}");

    let two = request("1.1", &token, &format!("{length}content-length: 7\r\nconnection: close\r\n"), &body);
    assert_eq!(Raw::of(&exchange(&gateway, &[two.as_bytes()]).await).status, 400);

    let both = format!("{length}transfer-encoding: chunked\r\n");
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n{usual}", body.len());
    let both = exchange(&gateway, &[request("1.1", &token, &both, &chunked).as_bytes()]).await;
    assert_eq!(both.matches("HTTP/1.1 ").count(), 1, "nothing behind the body is read: {both}");

    // Less than was announced, and then no more.
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let short = request("1.1", &token, &format!("content-length: {}\r\n", body.len() + 1), &body);
    stream.write_all(short.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let metrics = gateway.metrics_until(|metrics| metrics.contains("gateway_requests_in_flight 0\n")).await;
    assert!(!metrics.contains("status=\"500\""), "{metrics}");
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
}
