//! Requests in progress of each caller.

use std::time::Duration;

use futures_util::stream;
use onnx_gateway::config::{PlanSettings, Settings};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use super::{of_callers, predict, token_of};
use crate::support::{PATIENCE, TestGateway, grpc::setosa_raw, pause};

/// One request at a time, for callers without a plan of their own.
fn one_at_a_time(settings: &mut Settings) {
    of_callers(1000)(settings);
    let plan = PlanSettings { requests: 1000, period_seconds: 86_400, concurrent: 1 };
    settings.rate_limit.plans.insert("free".to_owned(), plan);
    settings.rate_limit.default_plan = Some("free".to_owned());
}

async fn until_it_is_admitted(gateway: &TestGateway, token: &str) {
    let waiting = async {
        while predict(gateway, token).await.status != 200 {
            pause().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the place is free again");
}

#[tokio::test]
async fn an_open_stream_of_events_is_one_request_in_progress() {
    let gateway = TestGateway::builder().settings(one_at_a_time).start().await;
    let (token, other) = (token_of("a").build(), token_of("b").build());
    // One after the other is no more than one at a time, along both paths.
    for _ in 0..3 {
        until_it_is_admitted(&gateway, &token).await;
    }
    let events = gateway.client.get(gateway.url("/events")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(events.status(), 200);
    let refused = predict(&gateway, &token).await;
    assert_eq!((refused.status.as_u16(), refused.problem_code()), (429, "concurrent_requests_exceeded"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), r#""concurrent";q=1;qu="concurrent-requests""#);
    assert_eq!(refused.header("ratelimit"), r#""concurrent";r=0;t=1"#);
    assert_eq!(refused.body["violated-policies"], json!(["concurrent"]));
    assert!(refused.text.contains("rate_limit.plans.free.concurrent"), "{refused:?}");
    let slow = gateway.client.post(gateway.url("/predict")).bearer_auth(&token).header("x-tenant", "a");
    let slow = super::send(slow.json(&crate::support::setosa())).await;
    assert_eq!(slow.problem_code(), "concurrent_requests_exceeded", "along the slow path too");
    assert_eq!(predict(&gateway, &other).await.status, 200, "another caller has places of its own");
    gateway.reload(|settings| settings.rate_limit.plans.get_mut("free").unwrap().concurrent = 2);
    assert_eq!(predict(&gateway, &token).await.status, 200);
    gateway.reload(|settings| settings.rate_limit.plans.get_mut("free").unwrap().concurrent = 1);
    assert_eq!(predict(&gateway, &token).await.status, 429, "those in progress still count");
    drop(events);
    until_it_is_admitted(&gateway, &token).await;
}

#[tokio::test]
async fn a_stream_of_calls_is_one_request_in_progress() {
    let gateway = TestGateway::builder().settings(one_at_a_time).start().await;
    let token = token_of("a");
    let (send, mut requests) = mpsc::channel(1);
    let requests = stream::poll_fn(move |context| requests.poll_recv(context));
    let mut client = gateway.grpc_with(&token);
    let opening = client.model_stream_infer(requests);
    send.send(setosa_raw()).await.unwrap();
    let mut answers = opening.await.unwrap().into_inner();
    for _ in 0..2 {
        assert_eq!(answers.message().await.unwrap().unwrap().error_message, "", "a message needs no place");
        send.send(setosa_raw()).await.unwrap();
    }
    assert_eq!(predict(&gateway, &token.build()).await.problem_code(), "concurrent_requests_exceeded");
    let refused = gateway.grpc_with(&token).model_infer(setosa_raw()).await.unwrap_err();
    assert!(refused.message().contains("in progress"), "{refused:?}");
    drop((send, answers));
    let waiting = async {
        while gateway.grpc_with(&token).model_infer(setosa_raw()).await.is_err() {
            pause().await;
        }
    };
    timeout(PATIENCE.max(Duration::from_secs(1)), waiting).await.expect("the place is free again");
}
