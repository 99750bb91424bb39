//! Settings that change while the gateway runs, in this process.

use onnx_gateway::config::{Secret, Settings};
use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, PATIENCE, TestGateway, client, setosa,
    tokens::{SigningKey, TokenBuilder},
};

const OTHER_SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";

/// The status of a prediction with this token.
async fn ask(gateway: &TestGateway, token: &str) -> StatusCode {
    let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token).json(&setosa());
    request.send().await.unwrap().status()
}

/// The status of asking for a token as the usual client.
async fn log_in(gateway: &TestGateway) -> StatusCode {
    let form =
        [("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    gateway.client.post(gateway.url("/token")).form(&form).send().await.unwrap().status()
}

#[tokio::test]
async fn a_key_that_is_exchanged_is_believed_at_once_and_the_old_one_no_more() {
    let gateway = TestGateway::start().await;
    let (old, new) = (TokenBuilder::new(), SigningKey::secret(OTHER_SECRET));
    let new = TokenBuilder::new().build_with(&new);
    assert_eq!(ask(&gateway, &old.build()).await, StatusCode::OK);
    assert_eq!(ask(&gateway, &new).await, StatusCode::UNAUTHORIZED);
    let reloaded = gateway.reload(|settings| {
        settings.auth.signing_secret = Some(Secret::new(OTHER_SECRET.to_owned()));
    });
    assert_eq!(reloaded.applied, ["auth.signing_secret"]);
    assert_eq!(ask(&gateway, &old.build()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&gateway, &new).await, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_is_removed_gets_no_token() {
    let gateway = TestGateway::start().await;
    assert_eq!(log_in(&gateway).await, StatusCode::OK);
    gateway.reload(|settings| {
        let shop = settings.auth.clients.remove(CLIENT_ID).unwrap();
        settings.auth.clients.insert("another".to_owned(), shop);
    });
    assert_eq!(log_in(&gateway).await, StatusCode::UNAUTHORIZED);
    gateway.reload(|settings| {
        settings.auth.clients.insert(CLIENT_ID.to_owned(), client(&["predict"]));
    });
    assert_eq!(log_in(&gateway).await, StatusCode::OK);
}

/// Quotas that no test outlives: two of each address, one of each caller.
fn little(settings: &mut Settings) {
    let limit = &mut settings.rate_limit;
    limit.enabled = true;
    (limit.per_address.requests, limit.per_address.period_seconds) = (2, 86_400);
    (limit.per_caller.requests, limit.per_caller.period_seconds) = (1, 86_400);
}

#[tokio::test]
async fn a_quota_that_is_used_up_stays_so() {
    let builder = TestGateway::builder().settings(little);
    let gateway = builder.start().await;
    let ask = async || gateway.predict(&setosa()).await;
    assert_eq!(ask().await.status, StatusCode::OK);
    assert_eq!(ask().await.problem_code(), "caller_quota_exceeded");
    assert_eq!(ask().await.problem_code(), "address_quota_exceeded");
    let reloaded = gateway.reload(|settings| {
        settings.server.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings.server.max_body_bytes += 1;
        settings.auth.leeway_seconds += 1;
    });
    assert_eq!(reloaded.applied.len(), 3, "{reloaded:?}");
    assert_eq!(ask().await.problem_code(), "address_quota_exceeded");
    gateway.reload(|settings| settings.rate_limit.per_address.requests = 10);
    assert_eq!(ask().await.problem_code(), "caller_quota_exceeded", "that of the caller is the same");
    gateway.reload(|settings| settings.rate_limit.per_caller.requests = 2);
    assert_eq!(ask().await.status, StatusCode::OK, "another quota begins anew");
}

#[tokio::test]
async fn quotas_are_switched_off_and_on_without_being_refilled() {
    let gateway = TestGateway::builder().settings(little).start().await;
    let ask = async || gateway.predict(&setosa()).await;
    assert_eq!(ask().await.status, StatusCode::OK);
    assert_eq!(ask().await.problem_code(), "caller_quota_exceeded");
    gateway.reload(|settings| settings.rate_limit.enabled = false);
    for _ in 0..5 {
        assert_eq!(ask().await.status, StatusCode::OK);
    }
    gateway.reload(|settings| settings.rate_limit.enabled = true);
    assert_eq!(ask().await.problem_code(), "address_quota_exceeded");
}

#[tokio::test]
async fn a_proxy_that_is_trusted_from_now_on_is_believed() {
    let gateway = TestGateway::builder().settings(little).start().await;
    let from = async |forwarded: &str| {
        let token = TokenBuilder::new().claim("sub", json!(forwarded)).build();
        let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token).json(&setosa());
        request.header("x-forwarded-for", forwarded).send().await.unwrap().status()
    };
    assert_eq!(from("198.51.100.1").await, StatusCode::OK);
    assert_eq!(from("198.51.100.2").await, StatusCode::OK);
    assert_eq!(from("198.51.100.3").await, StatusCode::TOO_MANY_REQUESTS, "all from one address");
    gateway.reload(|settings| settings.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]);
    assert_eq!(from("198.51.100.4").await, StatusCode::OK);
}

/// Sends a prediction over an open connection and reads the status of its answer.
async fn ask_on(connection: &mut TcpStream, token: &str) -> String {
    let body = setosa().to_string();
    let length = body.len();
    let request = format!(
        "POST /predict HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let answer = async {
        let mut read = Vec::new();
        // Each answer is a JSON object, whose last byte is the only brace at an end.
        while !read.ends_with(b"}") {
            assert_ne!(connection.read_buf(&mut read).await.unwrap(), 0, "the connection is kept");
        }
        String::from_utf8(read).unwrap()
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer");
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn an_open_connection_sees_new_settings_at_its_next_request() {
    let gateway = TestGateway::start().await;
    let token = TokenBuilder::new().build();
    let mut connection = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(ask_on(&mut connection, &token).await, "200");
    gateway.reload(|settings| settings.auth.audience = "another".to_owned());
    assert_eq!(ask_on(&mut connection, &token).await, "401");
    gateway.reload(|settings| settings.auth.audience = "onnx-gateway".to_owned());
    assert_eq!(ask_on(&mut connection, &token).await, "200");
    gateway.reload(|settings| settings.server.max_body_bytes = 1);
    assert_eq!(ask_on(&mut connection, &token).await, "413");
}

#[tokio::test]
async fn more_connections_stay_open_when_more_may() {
    let builder = TestGateway::builder().settings(|settings| settings.server.max_connections_per_address = 1);
    let gateway = builder.start().await;
    let token = TokenBuilder::new().build();
    let connect = async || TcpStream::connect(gateway.address()).await.unwrap();
    let mut first = connect().await;
    assert_eq!(ask_on(&mut first, &token).await, "200");
    gateway.metrics().await;
    let mut second = connect().await;
    assert_eq!(ask_on(&mut second, &token).await, "200");
    assert_eq!(first.read(&mut [0]).await.unwrap_or(0), 0, "it gave way");
    gateway.reload(|settings| settings.server.max_connections_per_address = 3);
    let mut third = connect().await;
    assert_eq!(ask_on(&mut third, &token).await, "200");
    assert_eq!(ask_on(&mut second, &token).await, "200");
}

#[tokio::test]
async fn the_default_model_is_another_one() {
    let gateway = TestGateway::builder().model("wine.onnx", "regressor").start().await;
    let model = async || gateway.predict(&setosa()).await.body["model"].clone();
    assert_eq!(model().await, "iris");
    gateway.reload(|settings| settings.models.default = Some("missing".parse().unwrap()));
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::NOT_FOUND);
    gateway.reload(|settings| settings.models.default = None);
    assert_eq!(model().await, "iris");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let gateway = TestGateway::start().await;
    let reload = || {
        gateway.reload(|settings| {
            settings.server.listen = "127.0.0.1:1".parse().unwrap();
            settings.server.max_body_bytes = 1;
        })
    };
    let reloaded = reload();
    assert_eq!(reloaded.applied, ["server.max_body_bytes"]);
    let said = reloaded.needs_restart[0].to_string();
    let expected = "server.listen changed from 127.0.0.1:0 to 127.0.0.1:1: needs a restart";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let again = reload();
    assert_eq!((again.applied.len(), again.needs_restart.len()), (0, 1), "it still needs one");
}

#[tokio::test]
async fn reloads_are_counted() {
    let gateway = TestGateway::start().await;
    gateway.reload(|settings| settings.server.max_body_bytes += 1);
    let metrics = gateway.metrics().await;
    for line in [
        r#"gateway_settings_reloads_total{outcome="applied"} 1"#,
        r#"gateway_settings_reloads_total{outcome="refused"} 0"#,
    ] {
        assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
    }
}

#[tokio::test]
async fn authentication_is_switched_on_while_it_runs() {
    let gateway = TestGateway::builder().settings(|settings| settings.auth.enabled = false).start().await;
    let nobody = async || {
        let request = gateway.client.post(gateway.url("/predict")).json(&setosa());
        Answer::of(request.send().await.unwrap()).await.status
    };
    assert_eq!(nobody().await, StatusCode::OK);
    gateway.reload(|settings| settings.auth.enabled = true);
    assert_eq!(nobody().await, StatusCode::UNAUTHORIZED);
}
