//! Messages of JSON-RPC: good ones, and every way in which one can be wrong.

use serde_json::{Value, json};

use super::{ask, builder, call, message, post, row, send};
use crate::support::{Answer, table};

#[tokio::test]
async fn a_client_with_a_handshake_begins_lists_and_calls() {
    let gateway = builder().start().await;
    let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let request = post(&gateway, "", message("initialize", &begin).to_string());
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.headers.get("mcp-session-id").is_none(), "nothing is kept for a client");
    let result = &answer.body["result"];
    assert_eq!(
        (&result["protocolVersion"], &result["capabilities"]),
        (&json!("2025-06-18"), &json!({"tools": {}}))
    );
    assert_eq!(result["serverInfo"]["name"], "onnx-gateway");
    assert!(result["resultType"].is_null(), "it is of a later revision");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let accepted = send(post(&gateway, "", ready.to_string())).await;
    assert_eq!((accepted.status.as_u16(), accepted.text.as_str()), (202, ""));
    assert_eq!(ask(&gateway, "", "ping", &json!({})).await.body["result"], json!({}));
    assert_eq!(call(&gateway, "iris", &row()).await["structuredContent"]["prediction"], "setosa");
}

#[tokio::test]
async fn ids_are_repeated_as_they_are() {
    let gateway = builder().start().await;
    table::each_async(
        [json!(0), json!(-7), json!(i64::MAX), json!(""), json!("a\"ö")],
        async |id: Value| {
            let message = json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
            assert_eq!(send(post(&gateway, "", message.to_string())).await.body["id"], id);
            let message = json!({"jsonrpc": "2.0", "id": id, "method": "nothing"});
            assert_eq!(send(post(&gateway, "", message.to_string())).await.body["id"], id);
        },
    )
    .await;
}

/// The code of an error, which has a sentence and no result.
fn code(answer: &Answer) -> i64 {
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    assert_eq!(answer.body["jsonrpc"], "2.0", "{answer:?}");
    assert!(answer.body["result"].is_null(), "{answer:?}");
    assert!(answer.body["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{answer:?}");
    answer.body["error"]["code"].as_i64().unwrap()
}

#[tokio::test]
async fn what_is_not_a_message_is_refused_with_the_code_of_json_rpc() {
    let gateway = builder().start().await;
    let ping = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    let cases = [
        (String::new(), 400, -32700),
        ("{".to_owned(), 400, -32700),
        ("x".to_owned(), 400, -32700),
        (format!("{ping}{ping}"), 400, -32700),
        ("[1,".to_owned(), 400, -32700),
        ("[".repeat(100_000), 400, -32700),
        ("1".to_owned(), 400, -32600),
        ("[]".to_owned(), 400, -32600),
        (format!("[{ping}]"), 400, -32600),
        (format!("\u{feff}[{ping}, {ping}]"), 400, -32600),
        (deep("[", "]"), 400, -32600),
        ("{}".to_owned(), 400, -32600),
        (r#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": 2.0, "id": 1, "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"id": 1, "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": 7}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": null, "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": [1], "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 18446744073709551615, "method": "ping"}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}"#.to_owned(), 400, -32600),
        // A call that no response could answer is not made.
        (r#"{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "iris"}}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "no"}}"#.to_owned(), 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}"#.to_owned(), 200, -32602),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": null}"#.to_owned(), 200, -32602),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "nothing"}"#.to_owned(), 200, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "notifications/initialized"}"#.to_owned(), 200, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}"#.to_owned(), 200, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "initialize"}"#.to_owned(), 200, -32602),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": 7}}"#.to_owned(), 200, -32602),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}"#.to_owned(), 200, -32602),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 7}}"#.to_owned(), 200, -32602),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "iris", "arguments": [1]}}"#
                .to_owned(),
            200,
            -32602,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing"}}"#.to_owned(),
            200,
            -32602,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "../iris"}}"#.to_owned(),
            200,
            -32602,
        ),
        (
            format!(
                r#"{{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {{"_meta": {}}}}}"#,
                deep("[", "]")
            ),
            200,
            -32602,
        ),
    ];
    table::each_async(cases, async |(body, status, expected)| {
        let answer = send(post(&gateway, "read predict", body)).await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (status, expected), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn deep_and_odd_arguments_are_refused_as_the_model_refuses_them() {
    let gateway = builder().start().await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let cases = [
        (format!(r#"{{"sepal_length": {deep}}}"#), &["invalid_body", "malformed_json"][..]),
        (format!(r#"{{"colour": {deep}}}"#), &["invalid_body", "malformed_json"]),
        (r#"{"sepal_length": 1e999}"#.to_owned(), &["invalid_body", "malformed_json"]),
        (r#"{"\ud800": 1}"#.to_owned(), &["malformed_json"]),
        (r#"{"sepal_length": 5.1, "sepal_length": 5.1}"#.to_owned(), &["invalid_body"]),
    ];
    table::each_async(cases, async |(arguments, codes)| {
        let body = format!(
            r#"{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "iris", "arguments": {arguments}}}}}"#
        );
        let answer = send(post(&gateway, "predict", body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let result = &answer.body["result"];
        assert_eq!(result["isError"], true, "{answer:?}");
        let document: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert!(codes.contains(&document["code"].as_str().unwrap()), "{document}");
        let native = gateway.predict_raw(format!(r#"{{"features": {arguments}}}"#)).await;
        assert_eq!(document["code"], native.body["code"], "{native:?}");
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_of_the_protocol_keeps_its_status() {
    let gateway = builder().settings(|settings| settings.server.max_body_bytes = 4096).start().await;
    let ping = message("ping", &json!({})).to_string();
    let long = format!("{ping}{}", " ".repeat(8192));
    let like = |body: &str| post(&gateway, "", body.to_owned());
    let with = |name: &'static str, value: &'static str| {
        let mut request = like(&ping).build().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let cases = [
        ("too long", like(&long).build().unwrap(), 413),
        ("another type", with("content-type", "text/plain"), 415),
        ("events only", with("accept", "text/event-stream"), 406),
        ("another encoding", with("content-encoding", "br"), 415),
        ("not what its encoding says", with("content-encoding", "gzip"), 400),
        ("a forged token", with("authorization", "Bearer x.y.z"), 401),
    ];
    table::each_async(cases, async |(name, request, status)| {
        let answer = Answer::of(gateway.client.execute(request).await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (status, -32600), "{name}");
        assert_eq!(answer.body.get("id"), Some(&Value::Null), "{name}: it was not read");
        if status == 401 {
            assert!(answer.header("www-authenticate").starts_with("Bearer "), "{answer:?}");
        }
    })
    .await;
    for accept in ["application/json", "*/*", "application/*;q=0.1, text/html"] {
        let mut request = like(&ping).build().unwrap();
        request.headers_mut().insert("accept", accept.parse().unwrap());
        assert_eq!(gateway.client.execute(request).await.unwrap().status(), 200, "{accept}");
    }
}
