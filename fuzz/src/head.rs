//! Heads of requests: those that take the fast path have nothing that a layer would read.

use std::str;

use axum::http::{HeaderName, HeaderValue, Request};
use onnx_gateway::protocols::has_fast_head;

/// Headers without an effect on the response, and those that both paths read by the same functions.
const READ_ALIKE: [&str; 22] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "dnt",
    "host",
    "inference-header-content-length",
    "pragma",
    "sec-fetch-mode",
    "user-agent",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Reads the bytes as the head of a request: `METHOD PATH`, then a header a line.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let Ok(mut request) = Request::builder().method(method).uri(path).body(()) else { return };
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            request.headers_mut().append(name, value);
        }
    }
    if !has_fast_head(&request) {
        return;
    }
    let (headers, uri) = (request.headers(), request.uri());
    assert!(request.method() == "POST" && uri.query().is_none() && uri.authority().is_none(), "{text}");
    for name in headers.keys() {
        let is_known = READ_ALIKE.contains(&name.as_str()) || name == "x-request-id";
        assert!(is_known, "{name} took the fast path: {text}");
    }
    for name in ["host", "content-length", "content-type", "x-request-id"] {
        assert!(headers.get_all(name).iter().count() <= 1, "{name} is repeated: {text}");
    }
    for name in ["host", "content-length"] {
        assert!(headers.contains_key(name), "{name} is missing: {text}");
    }
    for value in headers.get_all("connection") {
        let is_plain = ["close", "keep-alive"]
            .iter()
            .any(|option| value.as_bytes().eq_ignore_ascii_case(option.as_bytes()));
        assert!(is_plain, "{text}");
    }
}

/// Returns heads of common clients, and some that take the slow path.
pub fn seeds() -> Vec<Vec<u8>> {
    let common = "host: a\ncontent-type: application/json\ncontent-length: 2\nauthorization: Bearer t";
    [
        format!("POST /predict\n{common}\nuser-agent: curl/8\naccept: */*"),
        format!("POST /models/iris/predict\n{common}\nconnection: keep-alive\nx-request-id: order-1"),
        format!("POST /v2/models/iris/versions/2/infer\n{common}\ninference-header-content-length: 2"),
        format!("POST /v1/models/iris:predict\n{common}\nx-forwarded-for: 192.0.2.1\nx-api-key: ogk_a_b"),
        format!("POST /invocations\n{common}\norigin: https://example.com"),
        format!("POST /predict?a=b\n{common}"),
        format!("GET /predict\n{common}\ntransfer-encoding: chunked\nconnection: upgrade"),
    ]
    .map(String::into_bytes)
    .to_vec()
}
