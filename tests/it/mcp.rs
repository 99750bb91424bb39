//! The Model Context Protocol: models as tools, by messages over HTTP.

mod limits;
mod messages;
mod mutations;
mod origins;
mod revisions;
mod tools;

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Answer, Builder, TestGateway, tokens::TokenBuilder};

/// The revision without a handshake.
const STATELESS: &str = "2026-07-28";

/// A row that the Iris model takes, as arguments.
fn row() -> Value {
    json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2})
}

/// The usual gateway with MCP on.
fn builder() -> Builder {
    TestGateway::builder().settings(|settings| settings.mcp.enabled = true)
}

/// A request with a text as body, as an agent sends it.
fn post(gateway: &TestGateway, scope: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    gateway
        .client
        .post(gateway.url("/mcp"))
        .bearer_auth(TokenBuilder::new().scope(scope).build())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body)
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// A message with an id of its own.
fn message(method: &str, params: &Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    json!({"jsonrpc": "2.0", "id": NEXT.fetch_add(1, Ordering::Relaxed), "method": method, "params": params})
}

/// The response to a message of a client that began with a handshake.
async fn ask(gateway: &TestGateway, scope: &str, method: &str, params: &Value) -> Answer {
    let message = message(method, params);
    let request = post(gateway, scope, message.to_string()).header("mcp-protocol-version", "2025-11-25");
    let answer = send(request).await;
    // A layer in front refuses without reading the id.
    if !answer.body["id"].is_null() {
        assert_eq!(answer.body["id"], message["id"], "{answer:?}");
    }
    answer
}

/// The response to a message of a client without a handshake.
async fn ask_stateless(gateway: &TestGateway, method: &str, params: &Value) -> Answer {
    send(stateless(gateway, method, params)).await
}

/// A request of a client without a handshake.
fn stateless(gateway: &TestGateway, method: &str, params: &Value) -> RequestBuilder {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let request = post(gateway, "read predict", message(method, &params).to_string())
        .header("mcp-protocol-version", STATELESS)
        .header("mcp-method", method);
    match params["name"].as_str() {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

/// The result of a call with every scope.
async fn call(gateway: &TestGateway, tool: &str, arguments: &Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    let answer = ask(gateway, "read predict", "tools/call", &params).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["result"].clone()
}

/// The tools on all pages that a token with these scopes lists.
async fn list(gateway: &TestGateway, scope: &str) -> Vec<Value> {
    let (mut tools, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
        let answer = ask(gateway, scope, "tools/list", &params).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let result = &answer.body["result"];
        tools.extend(result["tools"].as_array().unwrap().iter().cloned());
        cursor = result["nextCursor"].clone();
        if cursor.is_null() {
            return tools;
        }
    }
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}
