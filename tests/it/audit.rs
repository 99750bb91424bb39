//! The audit log: its events, its fields, its bounds, and the page that describes them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use onnx_gateway::{config::ClientSettings, telemetry::AuditKind};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, TestGateway,
    grpc::{client_at, setosa_raw},
    repository::source_tree,
    setosa,
    tokens::TokenBuilder,
};

/// A gateway with an audit log, and its file.
async fn gateway() -> (TestGateway, PathBuf) {
    let builder = TestGateway::builder();
    let file = builder.repository.path().join(".audit.json");
    let path = file.clone();
    (builder.settings(|settings| settings.audit.file = Some(path)).start().await, file)
}

/// The events of a gateway, which is ended first.
async fn events(gateway: TestGateway, file: PathBuf) -> Vec<Value> {
    let builder = gateway.stop().await;
    let text = fs::read_to_string(file).unwrap();
    drop(builder);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of a kind.
fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn refusals_have_their_reason_caller_and_request_over_every_transport() {
    let (gateway, file) = gateway().await;
    let reader = TokenBuilder::new().claim("sub", json!("ann")).scope("read predict:other").build();
    let expired = TokenBuilder::new().claim("exp", json!(1_000_000_000)).build();
    let post = |path: &str| gateway.client.post(gateway.url(path)).json(&setosa());
    assert_eq!(status(post("/predict")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(post("/predict").bearer_auth(&expired)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(post("/predict").bearer_auth("a.b.c")).await, StatusCode::UNAUTHORIZED);
    let forbidden = Answer::of(post("/models/iris/predict").bearer_auth(&reader).send().await.unwrap()).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let mut call = client_at(gateway.grpc_address(), Some(reader));
    assert_eq!(call.model_infer(setosa_raw()).await.unwrap_err().code(), Code::PermissionDenied);
    let stranger =
        client_at(gateway.grpc_address(), Some("d.e.f".to_owned())).model_infer(setosa_raw()).await;
    assert_eq!(stranger.unwrap_err().code(), Code::Unauthenticated);
    let events = events(gateway, file).await;
    let refused = of(&events, "credentials_refused");
    let reasons: Vec<&str> = refused.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    // The second malformed token of the address is left out.
    assert_eq!(reasons, ["no_token", "expired", "malformed"], "{events:?}");
    for event in &refused {
        assert_eq!((&event["address"], &event["method"]), (&json!("127.0.0.1"), &json!("POST")), "{event}");
        assert_eq!((&event["route"], &event["outcome"]), (&json!("/predict"), &json!("refused")), "{event}");
        assert!(event.get("caller").is_none(), "{event}");
    }
    let scopes = of(&events, "scope_refused");
    // Both have the same caller and reason.
    let [scope] = scopes.as_slice() else { panic!("{events:?}") };
    let caller = json!({"issuer": "onnx-gateway", "subject": "ann", "credentials": "token"});
    assert_eq!((&scope["caller"], &scope["model"]), (&caller, &json!("iris")), "{scope}");
    assert_eq!(
        (&scope["reason"], &scope["route"]),
        (&json!("insufficient_scope"), &json!("/models/{model}/predict"))
    );
    assert_eq!(scope["request_id"], forbidden.header("x-request-id"));
    let text = format!("{events:?}");
    for secret in [&expired, "a.b.c", "d.e.f"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn log_ins_and_revocations_name_the_client() {
    let (gateway, file) = gateway().await;
    let token = async |secret: &str, scope: &str| {
        let grant = [("grant_type", "client_credentials"), ("scope", scope)];
        let request = gateway.client.post(gateway.url("/token"));
        Answer::of(request.basic_auth(CLIENT_ID, Some(secret)).form(&grant).send().await.unwrap()).await
    };
    let granted = token(CLIENT_SECRET, "read").await;
    token("wrong", "read").await;
    token(CLIENT_SECRET, "manage").await;
    let token = granted.body["access_token"].as_str().unwrap();
    let request = gateway.client.post(gateway.url("/revoke")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    assert_eq!(status(request.form(&[("token", token)])).await, StatusCode::OK);
    let operator = TokenBuilder::new().claim("sub", json!("ops")).build();
    let request = gateway.client.post(gateway.url("/revoke")).bearer_auth(operator);
    assert_eq!(status(request.json(&json!({"subject": "bob"}))).await, StatusCode::OK);
    let events = events(gateway, file).await;
    let log_ins: Vec<Value> = of(&events, "log_in")
        .iter()
        .map(|event| json!([event["outcome"], event["reason"], event["client"], event["route"]]))
        .collect();
    let expected = [
        json!(["ok", null, CLIENT_ID, "/token"]),
        json!(["refused", "invalid_client", CLIENT_ID, "/token"]),
        json!(["refused", "invalid_scope", CLIENT_ID, "/token"]),
    ];
    assert_eq!(log_ins, expected);
    let revoked = of(&events, "tokens_revoked");
    assert_eq!(revoked.len(), 2, "{events:?}");
    assert_eq!(revoked[0]["client"], CLIENT_ID);
    assert!(revoked[0]["revoked"].as_str().unwrap().starts_with("jti:"), "{events:?}");
    assert_eq!(
        (&revoked[1]["revoked"], &revoked[1]["caller"]["subject"]),
        (&json!("subject:bob"), &json!("ops"))
    );
    assert!(!format!("{events:?}").contains(CLIENT_SECRET));
}

#[tokio::test]
async fn changes_of_models_and_settings_say_by_whom_and_which() {
    let (gateway, file) = gateway().await;
    let unloaded = gateway.manage("/v2/repository/models/iris/unload").await;
    assert_eq!(unloaded.status, StatusCode::OK, "{unloaded:?}");
    let _ = gateway.reload(|settings| {
        settings
            .auth
            .clients
            .insert("new".to_owned(), ClientSettings { ..crate::support::client(&["read"]) });
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_caller.requests = 1;
    });
    let mut last = StatusCode::OK;
    for _ in 0..5 {
        last = gateway.get("/models").send().await.unwrap().status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let events = events(gateway, file).await;
    let deployed = of(&events, "model_deployed");
    assert_eq!((&deployed[0]["model"], &deployed[0]["version"]), (&json!("iris"), &json!("1")), "{events:?}");
    assert_eq!(deployed[0]["by"], "repository");
    let unloaded = of(&events, "model_unloaded");
    assert_eq!((&unloaded[0]["by"], &unloaded[0]["model"]), (&json!("caller:tester"), &json!("iris")));
    let changed = of(&events, "settings_changed");
    let names = changed[0]["settings"].as_array().unwrap();
    assert!(names.iter().any(|name| name.as_str().unwrap().starts_with("auth.clients")), "{events:?}");
    assert!(!changed[0].to_string().contains("argon2id"), "{events:?}");
    let quotas = of(&events, "quota_exceeded");
    assert_eq!(quotas.len(), 1, "the first of the caller in a minute: {events:?}");
    assert_eq!(quotas[0]["caller"]["subject"], "tester");
}

#[tokio::test]
async fn the_address_is_that_behind_trusted_proxies() {
    let builder = TestGateway::builder();
    let file = builder.repository.path().join(".audit.json");
    let path = file.clone();
    let change = |settings: &mut onnx_gateway::config::Settings| {
        settings.audit.file = Some(path);
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let gateway = builder.settings(change).start().await;
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.1"] {
        let request = gateway.client.get(gateway.url("/models")).header("x-forwarded-for", client);
        assert_eq!(status(request).await, StatusCode::UNAUTHORIZED);
    }
    let suppressed = gateway.metrics().await;
    assert!(suppressed.contains("gateway_audit_events_suppressed_total 1"), "{suppressed}");
    let events = events(gateway, file).await;
    let addresses: Vec<&Value> =
        of(&events, "credentials_refused").into_iter().map(|event| &event["address"]).collect();
    assert_eq!(addresses, [&json!("192.0.2.1"), &json!("192.0.2.2")]);
}

#[test]
fn every_event_is_documented() {
    let page = fs::read_to_string(source_tree().join("docs/audit.md")).unwrap();
    let part = page.split("\n## Events\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<String> = part
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(documented, AuditKind::ALL.iter().map(|kind| kind.name()).collect());
}
