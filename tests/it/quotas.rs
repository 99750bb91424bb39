//! Quotas of callers by plan and row, of models, and of requests in progress, over every protocol.

mod fields;
mod in_progress;
mod plans;
mod rows;

use axum::http::HeaderMap;
use onnx_gateway::config::{QuotaSettings, Settings};
use reqwest::RequestBuilder;

use crate::support::{Answer, TestGateway, tokens::TokenBuilder};

/// A quota that gives nothing back while a test runs.
fn a_day(requests: u32) -> QuotaSettings {
    QuotaSettings { requests, period_seconds: 86_400 }
}

/// Quotas of which only that of callers is small.
fn of_callers(requests: u32) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address = a_day(1_000_000);
        settings.rate_limit.per_caller = a_day(requests);
        settings.dialects.vertex_predict_route = Some("/ask".to_owned());
        settings.mcp.enabled = true;
    }
}

/// A token of this caller.
fn token_of(subject: &str) -> TokenBuilder {
    TokenBuilder::new().claim("sub", subject.into())
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// Predicts for one flower.
async fn predict(gateway: &TestGateway, token: &str) -> Answer {
    let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token);
    send(request.json(&crate::support::setosa())).await
}

/// The units that are left of a policy, as the response tells.
fn left(headers: &HeaderMap, policy: &str) -> u32 {
    let field = headers.get("ratelimit").unwrap_or_else(|| panic!("no ratelimit in {headers:?}"));
    let field = field.to_str().unwrap();
    let begin = format!("\"{policy}\";r=");
    let item = field.split(", ").find_map(|item| item.strip_prefix(begin.as_str()));
    let left = item.unwrap_or_else(|| panic!("no {policy} in {field}")).split(';').next().unwrap();
    left.parse().unwrap()
}
