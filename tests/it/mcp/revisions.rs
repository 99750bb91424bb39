//! Revisions of the protocol: with a handshake, and without one.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{STATELESS, ask, ask_stateless, builder, message, post, row, send, stateless};
use crate::support::table;

#[tokio::test]
async fn the_revision_of_a_handshake_is_one_that_has_one() {
    let gateway = builder().start().await;
    let cases = [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        // Both have what is not offered: batches, and no handshake.
        ("2025-03-26", "2025-11-25"),
        (STATELESS, "2025-11-25"),
        ("1900-01-01", "2025-11-25"),
    ];
    table::each_async(cases, async |(wanted, got)| {
        let params = json!({"protocolVersion": wanted, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = send(post(&gateway, "", message("initialize", &params).to_string())).await;
        assert_eq!(answer.body["result"]["protocolVersion"], got, "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_client_without_a_handshake_discovers_lists_and_calls() {
    let gateway = builder().start().await;
    let discovered = ask_stateless(&gateway, "server/discover", &json!({})).await;
    assert_eq!(discovered.status, 200, "{discovered:?}");
    let listed = ask_stateless(&gateway, "tools/list", &json!({})).await;
    let called = ask_stateless(&gateway, "tools/call", &json!({"name": "iris", "arguments": row()})).await;
    let refused = ask_stateless(&gateway, "tools/call", &json!({"name": "iris"})).await;
    for answer in [&discovered, &listed, &called, &refused] {
        let result = &answer.body["result"];
        assert_eq!(result["resultType"], "complete", "{answer:?}");
        let server = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(server["name"], "onnx-gateway", "{answer:?}");
    }
    let result = &discovered.body["result"];
    assert_eq!(result["supportedVersions"], json!(["2025-06-18", "2025-11-25", STATELESS]));
    assert_eq!(result["capabilities"], json!({"tools": {}}));
    let result = &listed.body["result"];
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
    assert_eq!(called.body["result"]["structuredContent"]["prediction"], "setosa");
    assert_eq!(refused.body["result"]["isError"], true);
    // What a handshake belongs to is gone, and an unknown method is a status.
    for method in ["initialize", "ping", "nothing", "subscriptions/listen"] {
        let answer = ask_stateless(&gateway, method, &json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["error"]["code"]),
            (404, &json!(-32601)),
            "{method}"
        );
    }
    let early = ask(&gateway, "", "server/discover", &json!({})).await;
    assert_eq!((early.status.as_u16(), &early.body["error"]["code"]), (200, &json!(-32601)));
}

/// The request with a header in place of the one that it has.
fn with(request: RequestBuilder, name: &'static str, value: Option<&'static str>) -> reqwest::Request {
    let mut request = request.build().unwrap();
    request.headers_mut().remove(name);
    if let Some(value) = value {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn headers_that_contradict_the_message_are_refused() {
    let gateway = builder().start().await;
    let call = || stateless(&gateway, "tools/call", &json!({"name": "iris", "arguments": row()}));
    let cases = [
        ("mcp-method", None, 400, -32020),
        ("mcp-method", Some("tools/list"), 400, -32020),
        ("mcp-method", Some("Tools/Call"), 400, -32020),
        ("mcp-name", None, 400, -32020),
        ("mcp-name", Some("towns"), 400, -32020),
        ("mcp-name", Some("=?base64?!?="), 400, -32020),
        ("mcp-name", Some("=?base64?dG93bnM=?="), 400, -32020),
        ("mcp-protocol-version", None, 400, -32020),
        ("mcp-protocol-version", Some("2025-11-25"), 400, -32020),
        ("mcp-protocol-version", Some("1900-01-01"), 400, -32020),
        ("mcp-name", Some("=?base64?aXJpcw==?="), 200, 0),
    ];
    table::each_async(cases, async |(name, value, status, code)| {
        let answer = gateway.client.execute(with(call(), name, value)).await.unwrap();
        let answer = crate::support::Answer::of(answer).await;
        let found = answer.body["error"]["code"].as_i64().unwrap_or_default();
        assert_eq!((answer.status.as_u16(), found), (status, code), "{answer:?}");
        assert!(answer.body["id"].is_number(), "{answer:?}");
    })
    .await;
    let twice = send(call().header("mcp-name", "iris")).await;
    assert_eq!((twice.status.as_u16(), &twice.body["error"]["code"]), (400, &json!(-32020)), "{twice:?}");
}

#[tokio::test]
async fn a_revision_that_is_not_served_is_refused_with_those_that_are() {
    let gateway = builder().start().await;
    table::each_async(["1900-01-01", "2024-11-05", "2025-03-26", "2027-01-01", "x"], async |version| {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        for params in [json!({}), json!({"_meta": meta})] {
            let body = message("tools/list", &params).to_string();
            let request = post(&gateway, "read predict", body).header("mcp-protocol-version", version);
            let answer = send(request).await;
            let error = &answer.body["error"];
            assert_eq!((answer.status.as_u16(), &error["code"]), (400, &json!(-32022)), "{answer:?}");
            let supported = json!(["2025-06-18", "2025-11-25", STATELESS]);
            assert_eq!(error["data"], json!({"supported": supported, "requested": version}));
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_without_a_handshake_says_what_the_client_can_do() {
    let gateway = builder().start().await;
    let version = "io.modelcontextprotocol/protocolVersion";
    let cases: [Value; 5] = [
        json!({}),
        json!({"_meta": {}}),
        json!({"_meta": {version: STATELESS}}),
        json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}}),
        json!({"_meta": {version: STATELESS, "io.modelcontextprotocol/clientCapabilities": null}}),
    ];
    table::each_async(cases, async |params| {
        let request = post(&gateway, "read predict", message("tools/list", &params).to_string());
        let request = request.header("mcp-protocol-version", STATELESS).header("mcp-method", "tools/list");
        let answer = send(request).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["error"]["code"]),
            (400, &json!(-32602)),
            "{answer:?}"
        );
    })
    .await;
}
