//! How the server behaves towards clients that are slow, careless or wrong, and what every answer has.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Answer, PATIENCE, TestGateway, pause, setosa, table, tokens::TokenBuilder};

/// Sends bytes as they are and reads until the connection is closed.
async fn exchange(gateway: &TestGateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    // A connection that is reset has still said what it said before.
    let _ = read;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

async fn impatient() -> TestGateway {
    TestGateway::builder()
        .settings(|settings| {
            settings.server.header_timeout_ms = 300;
            settings.server.body_timeout_ms = 300;
        })
        .start()
        .await
}

#[tokio::test]
async fn connections_that_send_no_whole_head_are_closed() {
    let gateway = impatient().await;
    for beginning in ["", "P", "POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let start = Instant::now();
        let answer = exchange(&gateway, beginning.as_bytes()).await;
        assert!(start.elapsed() >= Duration::from_millis(250), "{beginning:?} was closed too early");
        assert!(answer.is_empty() || status_of(&answer) == 408, "{beginning:?}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let gateway = impatient().await;
    let token = TokenBuilder::new().build();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{\"features\""
    );
    let answer = exchange(&gateway, head.as_bytes()).await;
    assert_eq!(status_of(&answer), 408, "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("body_timeout"), "{answer}");
}

#[tokio::test]
async fn requests_that_two_readers_would_read_differently_are_refused() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("no Host", "GET /health HTTP/1.1\r\n", &[400][..]),
        ("two Hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n", &[400]),
        ("another coding", "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", &[501]),
        (
            "two lengths",
            "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
            &[400],
        ),
        (
            "chunked twice",
            "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n",
            &[400],
        ),
        (
            "chunked in two headers",
            "POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            &[400],
        ),
        ("a negative length", "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n", &[400]),
        ("a space before the colon", "GET /health HTTP/1.1\r\nHost : a\r\n", &[400]),
        ("a folded header", "GET /health HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n", &[400]),
        ("a NUL", "GET /health HTTP/1.1\r\nHost: a\r\nX: \0\r\n", &[400]),
        ("HTTP/2 without its preface", "GET /health HTTP/2.0\r\nHost: a\r\n", &[400, 505]),
        ("nonsense", "\u{16}\u{3}\u{1}", &[0, 400]),
    ];
    table::each_async(cases, async |(name, head, statuses)| {
        let answer = exchange(&gateway, format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        assert!(statuses.contains(&status_of(&answer)), "{name}: {answer}");
    })
    .await;
    let token = TokenBuilder::new().build();
    let (length, coding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    table::each_async([[length, coding], [coding, length]].map(|lines| lines.concat()), async |lengths| {
        table::each_async(["/token", "/predict", "/v2/models/iris/infer", "/nothing"], async |path| {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{lengths}\r\n");
            let smuggled = format!("{head}0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = exchange(&gateway, smuggled.as_bytes()).await;
            assert_eq!(status_of(&answer), 400, "{path}: {answer}");
            assert!(answer.to_ascii_lowercase().contains("connection: close"), "{path}: {answer}");
            assert_eq!(
                answer.matches("HTTP/1.1 ").count(),
                1,
                "with both lengths, nothing behind the body is read: {answer}"
            );
        })
        .await;
    })
    .await;
    let old = exchange(&gateway, b"GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(status_of(&old), 200, "HTTP/1.0 has no Host: {old}");
}

#[tokio::test]
async fn heads_without_end_are_refused() {
    let gateway = TestGateway::start().await;
    let many = format!("GET /health HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(status_of(&exchange(&gateway, many.as_bytes()).await), 431);
    let long = format!("GET /health HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    assert_eq!(status_of(&exchange(&gateway, long.as_bytes()).await), 431);
}

#[tokio::test]
async fn a_request_keeps_its_id_if_it_is_sane() {
    let gateway = TestGateway::start().await;
    let ask = |id: Option<&'static str>| {
        let mut request = gateway.post("/predict").json(&setosa());
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        async { Answer::of(request.send().await.unwrap()).await.header("x-request-id").to_owned() }
    };
    assert_eq!(ask(Some("order-4711/a_b.c:d")).await, "order-4711/a_b.c:d");
    let long: &'static str = Box::leak("x".repeat(129).into_boxed_str());
    table::each_async([None, Some("with space"), Some("quote\""), Some(""), Some(long)], async |bad| {
        let id = ask(bad).await;
        assert_eq!(id.len(), 32, "{bad:?}: {id}");
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{bad:?}: {id}");
    })
    .await;
    assert_ne!(ask(None).await, ask(None).await);
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("no token", gateway.client.get(gateway.url("/nothing")), "no_token"),
        ("no path", gateway.get("/nothing"), "not_found"),
        ("no method", gateway.get("/predict"), "method_not_allowed"),
        ("no method at an open path", gateway.client.delete(gateway.url("/health")), "method_not_allowed"),
        ("no media type", gateway.post("/predict").body("x"), "unsupported_media_type"),
    ];
    table::each_async(cases, async |(name, request, code)| {
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.problem_code(), code, "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
        assert!(answer.headers.contains_key("x-request-id"), "{name}");
        for field in ["type", "title", "status", "code", "detail"] {
            assert!(!answer.body[field].is_null(), "{name} has no {field}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_content_type_is_named_with_the_header_to_send() {
    let gateway = TestGateway::start().await;
    let send = "and this takes application/json: send the header `Content-Type: application/json`";
    let long = "x".repeat(300);
    let cases = [
        (None, format!("the body has no content type, {send}")),
        (Some("text/plain"), format!("the body's content type is text/plain, {send}")),
        (Some(long.as_str()), format!("the body's content type is {}, {send}", &long[..100])),
    ];
    table::each_async(cases, async |(sent, expected)| {
        let mut request = gateway.post("/predict").body("{\"features\": [5.1, 3.5, 1.4, 0.2]}");
        if let Some(sent) = sent {
            request = request.header("content-type", sent);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body["detail"].as_str()), (415, Some(expected.as_str())));
    })
    .await;
}

#[tokio::test]
async fn health_is_open_to_all_on_both_listeners() {
    let gateway = TestGateway::start().await;
    let cases = [("/health", "ok"), ("/health/live", "alive"), ("/health/ready", "ready")];
    table::each_async(cases, async |(path, status)| {
        for url in [gateway.url(path), gateway.admin_url(path)] {
            let answer = Answer::of(gateway.client.get(url).send().await.unwrap()).await;
            assert_eq!((answer.status, &answer.body["status"]), (StatusCode::OK, &json!(status)), "{path}");
        }
    })
    .await;
    let metrics = gateway.client.get(gateway.url("/metrics")).send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::UNAUTHORIZED, "metrics are for operators");
}

#[tokio::test]
async fn without_metrics_all_else_is_as_ever() {
    let gateway = TestGateway::builder().settings(|settings| settings.metrics.enabled = false).start().await;
    // Twice, as the second one goes another way.
    for _ in 0..2 {
        let answer = gateway.predict(&setosa()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let admin = async |path: &str| gateway.client.get(gateway.admin_url(path)).send().await.unwrap().status();
    assert_eq!(admin("/metrics").await, StatusCode::NOT_FOUND);
    assert_eq!(admin("/health/ready").await, StatusCode::OK);
}

#[tokio::test]
async fn a_model_has_series_of_its_requests_only_once_it_is_asked() {
    let gateway = TestGateway::builder().model("line/1/model.onnx", "regressor").start().await;
    gateway.predict(&setosa()).await;
    let metrics = gateway.metrics().await;
    let of = |name: &str, model: &str| {
        let label = format!(r#"model="{model}""#);
        metrics.lines().filter(|line| line.starts_with(name) && line.contains(&label)).count()
    };
    for name in ["gateway_model_info{", "gateway_model_schedule_info{", "gateway_model_swaps_total{"] {
        assert_eq!((of(name, "iris"), of(name, "line")), (1, 1), "{name} in\n{metrics}");
    }
    for name in ["gateway_model_requests_waiting{", "gateway_inference_duration_seconds_count{"] {
        assert_eq!((of(name, "iris"), of(name, "line")), (1, 0), "{name} in\n{metrics}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_unknown_paths_make_no_series() {
    let gateway = TestGateway::start().await;
    gateway.predict(&setosa()).await;
    for path in ["/a", "/b", "/c"] {
        gateway.get(path).send().await.unwrap();
    }
    let metrics = gateway.metrics().await;
    for line in [
        r#"gateway_requests_total{method="POST",route="/predict",status="200"} 1"#,
        r#"gateway_requests_total{method="GET",route="none",status="404"} 3"#,
        r#"gateway_inference_duration_seconds_count{model="iris"} 1"#,
        "gateway_requests_in_flight 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let gateway =
        TestGateway::builder().settings(|settings| settings.server.write_timeout_ms = 300).start().await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request.repeat(40).as_bytes()).await.unwrap();
    gateway.metrics_until(|metrics| metrics.contains("gateway_connections 2")).await;
    let closed = "gateway_connections 1";
    gateway.metrics_until(|metrics| metrics.lines().any(|line| line == closed)).await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_reads_why_it_was_refused() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("no token", String::new(), 1_500_000, 401),
        ("too much", format!("Authorization: Bearer {}\r\n", TokenBuilder::new().build()), 10_000_000, 413),
    ];
    table::each_async(cases, async |(name, head, size, status)| {
        let body = vec![b'x'; size];
        for _ in 0..5 {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            let length = body.len();
            let head = format!(
                "POST /predict HTTP/1.1\r\nHost: a\r\n{head}Content-Type: application/json\r\nContent-Length: \
                 {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
                .write_all(&body)
                .await
                .unwrap_or_else(|error| panic!("{name}: reset while sending: {error}"));
            assert_eq!(status_of(&read_to_end(&mut stream).await), status, "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_stop_readiness_goes_down_first_and_running_requests_finish() {
    let builder = TestGateway::builder().model("slow.onnx", "slow");
    let gateway = std::sync::Arc::new(builder.start().await);
    let (url, client) = (gateway.url("/health/ready"), gateway.client.clone());
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK);

    // Each runs for a good part of a second; there is always one on the way when the stop comes.
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let gateway = std::sync::Arc::clone(&gateway);
            tokio::spawn(async move {
                gateway.predict_at("/models/slow/predict", &json!({"features": [300_000]})).await
            })
        })
        .collect();
    gateway.metrics_until(|metrics| metrics.lines().any(|line| line == "gateway_requests_in_flight 3")).await;
    let stopping = gateway.begin_shut_down(Duration::from_hours(1));
    let down = async {
        loop {
            let answer = Answer::of(client.get(&url).send().await.unwrap()).await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
            pause().await;
        }
    };
    let down = timeout(PATIENCE, down).await.expect("readiness goes down");
    assert_eq!((down.problem_code(), down.header("retry-after")), ("not_ready", "1"));
    let answer = gateway.predict(&setosa()).await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (StatusCode::OK, "close"),
        "requests are still answered"
    );
    for run in runs {
        let answer = run.await.unwrap();
        assert_eq!(answer.body["prediction"], json!(300_000.0), "{answer:?}");
    }
    stopping.abort();
}

#[tokio::test]
async fn nobody_is_let_in_once_the_gateway_has_stopped() {
    let gateway = TestGateway::start().await;
    let url = gateway.url("/health/ready");
    gateway.shut_down().await;
    assert!(client_is_refused(&url).await);
}

async fn client_is_refused(url: &str) -> bool {
    reqwest::Client::new().get(url).send().await.is_err()
}
