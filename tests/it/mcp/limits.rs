//! Tokens, scopes, quotas and metrics: those of any other request.

use onnx_gateway::config::QuotaSettings;
use serde_json::json;

use super::{ask, builder, call, message, post, row, send};
use crate::support::{Answer, TestGateway, setosa, table, tokens::TokenBuilder};

#[tokio::test]
async fn every_message_needs_a_token_and_a_call_its_scope() {
    let gateway = builder().start().await;
    let body = message("ping", &json!({})).to_string();
    let request = gateway.client.post(gateway.url("/mcp")).header("content-type", "application/json");
    let answer = send(request.body(body)).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="onnx-gateway""#);
    assert_eq!((&answer.body["jsonrpc"], &answer.body["error"]["code"]), (&json!("2.0"), &json!(-32600)));

    let params = json!({"name": "iris", "arguments": row()});
    table::each_async(["", "read", "predict:towns"], async |scope| {
        let answer = ask(&gateway, scope, "tools/call", &params).await;
        let token = TokenBuilder::new().scope(scope).build();
        let request = gateway.client.post(gateway.url("/models/iris/predict")).bearer_auth(token);
        let native = Answer::of(request.json(&setosa()).send().await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), native.status.as_u16()), (403, 403), "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), native.header("www-authenticate"));
        assert_eq!(answer.body["error"]["data"], native.body);
    })
    .await;
    // Without a permission nothing is said of which models there are.
    let hidden = ask(&gateway, "predict:towns", "tools/call", &json!({"name": "nothing"})).await;
    assert_eq!(hidden.status, 403, "{hidden:?}");
}

/// A gateway whose callers, or addresses, may send this number of requests a day.
async fn with_quota(requests: u32, per_caller: bool) -> TestGateway {
    let quota = |requests| QuotaSettings { requests, period_seconds: 86_400 };
    let builder = builder().settings(|settings| {
        settings.rate_limit.enabled = true;
        let (address, caller) = if per_caller { (1000, requests) } else { (requests, 1000) };
        settings.rate_limit.per_address = quota(address);
        settings.rate_limit.per_caller = quota(caller);
    });
    builder.start().await
}

#[tokio::test]
async fn a_call_costs_a_request_of_the_address_and_of_the_caller() {
    table::each_async([(true, "caller"), (false, "address")], async |(per_caller, policy)| {
        let gateway = with_quota(4, per_caller).await;
        call(&gateway, "iris", &row()).await;
        assert_eq!(gateway.predict(&setosa()).await.status, 200);
        assert_eq!(call(&gateway, "iris", &json!({})).await["isError"], true, "a refusal costs as much");
        assert_eq!(ask(&gateway, "read predict", "ping", &json!({})).await.status, 200);
        let params = json!({"name": "iris", "arguments": row()});
        let refused = ask(&gateway, "read predict", "tools/call", &params).await;
        let native = gateway.predict(&setosa()).await;
        assert_eq!((refused.status.as_u16(), native.status.as_u16()), (429, 429), "{refused:?}");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
        assert_eq!(refused.header("ratelimit-policy"), native.header("ratelimit-policy"));
        assert!(refused.header("ratelimit").contains(policy), "{refused:?}");
        assert_eq!(refused.body["error"]["code"], -32600, "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn the_rows_of_a_call_are_charged() {
    let builder = builder().model("states.onnx", "kinds/states").settings(|settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_caller = QuotaSettings { requests: 1000, period_seconds: 86_400 };
    });
    let gateway = builder.start().await;
    let of_rows = async |rows: usize| {
        let params = json!({"name": "states", "arguments": {"inputs": {"x": vec![[0.5; 4]; rows]}}});
        ask(&gateway, "read predict", "tools/call", &params).await
    };
    let answer = of_rows(300).await;
    assert_eq!(answer.body["result"]["isError"], false, "{answer:?}");
    assert!(answer.header("ratelimit").contains(r#""caller";r=700;"#), "{answer:?}");
    for (rows, code) in [(800, "caller_quota_exceeded"), (1001, "rows_exceed_quota")] {
        let refused = of_rows(rows).await;
        assert!(refused.body.to_string().contains(code), "{rows}: {refused:?}");
    }
    let answer = of_rows(698).await;
    assert_eq!(answer.body["result"]["isError"], false, "two were charged on arrival: {answer:?}");
}

#[tokio::test]
async fn calls_are_counted_as_predictions_of_the_model() {
    let gateway = builder().start().await;
    for _ in 0..3 {
        call(&gateway, "iris", &row()).await;
    }
    call(&gateway, "iris", &json!({})).await;
    let statistics = Answer::of(gateway.get("/v2/models/iris/stats").send().await.unwrap()).await;
    assert_eq!(statistics.body["model_stats"][0]["inference_count"], 3, "{statistics:?}");
    let counted = |metrics: &str| {
        let mut lines = metrics.lines().filter(|line| line.starts_with("gateway_requests_total{"));
        lines.any(|line| line.contains(r#"route="/mcp""#) && line.ends_with(" 4"))
    };
    gateway.metrics_until(counted).await;
}

#[tokio::test]
async fn a_large_call_is_charged_and_a_model_that_is_away_is_a_status() {
    let gateway = builder().model("texts.onnx", "kinds/texts").start().await;
    let words: Vec<String> = (0..10_000).map(|number| format!("word {number}")).collect();
    let arguments = json!({"inputs": {"x": [words, words]}});
    let result = call(&gateway, "texts", &arguments).await;
    assert_eq!(result["isError"], false, "{result}");
    assert_eq!(result["structuredContent"]["outputs"]["y"]["data"].as_array().unwrap().len(), 20_000);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(text).unwrap(), result["structuredContent"]);

    assert_eq!(gateway.manage("/v2/repository/models/texts/unload").await.status, 200);
    let params = json!({"name": "texts", "arguments": arguments});
    let away = send(post(&gateway, "predict", message("tools/call", &params).to_string())).await;
    assert_eq!(away.status, 503, "{away:?}");
    assert!(away.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(away.body["error"]["data"]["code"], "model_unavailable", "{away:?}");
    assert!(away.body["id"].is_number(), "{away:?}");
}
