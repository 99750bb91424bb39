//! The stream of events: samples, notices of changes, permissions, bounds and ends.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Answer, PATIENCE, TestGateway, setosa, tokens::TokenBuilder};

/// The streams that one client may have open.
const MAX_STREAMS_OF_CLIENT: usize = 4;

/// An open stream.
struct Events {
    response: Response,
    received: String,
}

impl Events {
    fn request(gateway: &TestGateway, token: &TokenBuilder) -> RequestBuilder {
        gateway.client.get(gateway.url("/events")).bearer_auth(token.build())
    }

    /// Opens a stream, and waits for its first event.
    async fn open(gateway: &TestGateway, token: &TokenBuilder) -> Self {
        let response = Self::request(gateway, token).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut events = Self { response, received: String::new() };
        assert_eq!(events.next().await, Some(("open".to_owned(), json!({}))));
        events
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.received.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.received = rest;
                let (name, data) = event.split_once('\n').unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                return Some((
                    name.strip_prefix("event: ").unwrap().to_owned(),
                    serde_json::from_str(data).unwrap(),
                ));
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("a heart beat").unwrap()?;
            self.received.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads until an event of this name satisfies the condition.
    async fn until(&mut self, name: &str, mut condition: impl FnMut(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let (found, data) = self.next().await.expect("the stream goes on");
                if found == name && condition(&data) {
                    return data;
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {name} satisfies the condition"))
    }

    /// Reads to the end. Returns the reason for it.
    async fn end(&mut self) -> Value {
        let reason = self.until("end", |_| true).await["reason"].clone();
        assert_eq!(self.next().await, None);
        reason
    }
}

fn all() -> TokenBuilder {
    TokenBuilder::new()
}

fn names(data: &Value) -> Vec<&str> {
    data["models"].as_array().unwrap().iter().map(|model| model.as_str().unwrap()).collect()
}

#[tokio::test]
async fn samples_count_what_happens_while_the_stream_is_open() {
    let gateway = TestGateway::start().await;
    gateway.predict(&setosa()).await;
    let mut events = Events::open(&gateway, &all()).await;
    for _ in 0..3 {
        gateway.predict(&setosa()).await;
    }
    let refused = gateway.predict(&json!({"features": [1]})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (mut succeeded, mut rows, mut refused) = (0, 0, 0);
    events
        .until("sample", |sample| {
            for model in sample["models"].as_array().unwrap() {
                assert_eq!((&model["name"], &model["version"]), (&json!("iris"), &json!("1")), "{sample}");
                assert!(model["run_ms"]["p99"].as_f64().unwrap() >= model["run_ms"]["p50"].as_f64().unwrap());
                assert!(model["mean_ms"]["total"].as_f64().unwrap() > 0.0, "{sample}");
                succeeded += model["succeeded"].as_u64().unwrap();
                let batches = model["batches"].as_object().unwrap();
                let run =
                    |(rows, runs): (&String, &Value)| rows.parse::<u64>().unwrap() * runs.as_u64().unwrap();
                rows += batches.iter().map(run).sum::<u64>();
            }
            let gateway = &sample["gateway"];
            assert!(gateway["memory"]["limit"].as_u64().unwrap() > 0 && gateway["in_flight"].is_u64());
            refused += gateway["responses"]["422"].as_u64().unwrap_or_default();
            (0.5..10.0).contains(&sample["seconds"].as_f64().unwrap()) && succeeded >= 3 && refused >= 1
        })
        .await;
    assert_eq!((succeeded, rows, refused), (3, 3, 1), "the request before the stream is not among them");
}

#[tokio::test]
async fn a_change_of_a_model_is_reported_to_callers_that_may_read_it() {
    let gateway = TestGateway::builder().model("wine/1/model.onnx", "regressor").start().await;
    let mut of_all = Events::open(&gateway, &all()).await;
    let mut of_iris = Events::open(&gateway, &TokenBuilder::new().scope("read:iris")).await;
    gateway.repository.put_test_model("wine/2/model.onnx", "regressor");
    of_all.until("changed", |data| names(data) == ["wine"]).await;
    gateway.repository.put_test_model("iris/2/model.onnx", "iris_retrained");
    gateway.version_until("iris", |_| true).await;
    let changed = of_iris.until("changed", |_| true).await;
    assert_eq!(names(&changed), ["iris"], "nothing is told of other models");
    gateway.predict_until(|answer| answer.header("x-model-version") == "2").await;
    let sample = of_iris.until("sample", |sample| sample["models"][0]["name"] == "iris").await;
    assert!(sample.get("gateway").is_none(), "it counts requests to all models: {sample}");
    // What changed before is told with the next sample.
    let mut later = Events::open(&gateway, &TokenBuilder::new().scope("read:iris")).await;
    later.until("sample", |_| true).await;
    gateway.roll_back("iris").await;
    later.until("changed", |data| names(data) == ["iris"]).await;
}

#[tokio::test]
async fn a_stream_needs_a_token_that_may_read() {
    let gateway = TestGateway::start().await;
    let open = Answer::of(gateway.client.get(gateway.url("/events")).send().await.unwrap()).await;
    assert_eq!((open.status, open.problem_code()), (StatusCode::UNAUTHORIZED, "no_token"));
    let token = TokenBuilder::new().scope("predict manage");
    let refused = Answer::of(Events::request(&gateway, &token).send().await.unwrap()).await;
    assert_eq!((refused.status, refused.problem_code()), (StatusCode::FORBIDDEN, "insufficient_scope"));
}

#[tokio::test]
async fn a_caller_has_few_streams_and_takes_none_from_others() {
    let gateway = TestGateway::start().await;
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS_OF_CLIENT {
        streams.push(Events::open(&gateway, &all()).await);
    }
    let refused = Answer::of(Events::request(&gateway, &all()).send().await.unwrap()).await;
    assert_eq!((refused.status, refused.problem_code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_streams"));
    assert_eq!(refused.header("retry-after"), "10");
    drop(Events::open(&gateway, &TokenBuilder::new().claim("sub", json!("another"))).await);
    streams.pop();
    let waiting = async {
        loop {
            let response = Events::request(&gateway, &all()).send().await.unwrap();
            if response.status() == StatusCode::OK {
                return response;
            }
        }
    };
    timeout(PATIENCE, waiting).await.expect("a closed stream makes room for another");
}

#[tokio::test]
async fn streams_end_when_the_gateway_stops() {
    let gateway =
        TestGateway::builder().settings(|settings| settings.server.drain_timeout_ms = 600_000).start().await;
    let mut events = Events::open(&gateway, &all()).await;
    let stopping = gateway.begin_shut_down(Duration::ZERO);
    assert_eq!(events.end().await, "stopping");
    timeout(PATIENCE, stopping).await.expect("no stream is waited for").unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_when_keys_or_clients_change() {
    let gateway = TestGateway::start().await;
    let (mut first, mut second) =
        (Events::open(&gateway, &all()).await, Events::open(&gateway, &all()).await);
    let _ = gateway.reload(|settings| settings.rate_limit.per_caller.requests += 1);
    second.until("sample", |_| true).await;
    let _ = gateway.reload(|settings| settings.auth.leeway_seconds += 1);
    assert_eq!(first.end().await, "authentication_changed");
    assert_eq!(second.end().await, "authentication_changed");
    let mut third = Events::open(&gateway, &all()).await;
    gateway.clock.advance(86_400);
    assert_eq!(third.end().await, "token_expired");
}

#[tokio::test]
async fn without_metrics_samples_still_count_the_requests_of_models() {
    let gateway = TestGateway::builder().settings(|settings| settings.metrics.enabled = false).start().await;
    let mut events = Events::open(&gateway, &all()).await;
    gateway.predict(&setosa()).await;
    let sample = events.until("sample", |sample| sample["models"][0]["succeeded"] == 1).await;
    assert!(sample["models"][0].get("run_ms").is_none() && sample["gateway"].get("responses").is_none());
    assert!(sample["models"][0]["mean_ms"]["run"].as_f64().unwrap() > 0.0, "{sample}");
}

/// True if a thread of this process has the name.
#[cfg(target_os = "linux")]
fn has_thread(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.map(|found| found.trim().to_owned()).any(|found| found == name)
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn samples_are_taken_only_while_a_stream_is_open() {
    let gateway = TestGateway::start().await;
    assert!(!has_thread("events"));
    for _ in 0..2 {
        let mut events = Events::open(&gateway, &all()).await;
        events.until("sample", |_| true).await;
        assert!(has_thread("events"));
        drop(events);
        let ended = async {
            while has_thread("events") {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, ended).await.expect("the thread ends with the last stream");
    }
}
