//! API keys, over REST and gRPC, as a token and in a header of their own.

use std::{path::Path, time::Duration};

use onnx_gateway::{
    auth::{Authentication, NewApiKey},
    config::{ApiKeySettings, AuthSettings, Secret, Settings},
};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;
use tonic::{Code, Request};

use crate::support::{
    Answer, TestGateway,
    binary::{run, text},
    grpc, setosa, table,
    tokens::{SECRET, TokenBuilder},
};

/// A key of this name and scope, and its settings.
fn api_key(name: &str, scope: &str) -> (String, ApiKeySettings) {
    let scopes = scope.split(' ').map(str::to_owned).collect();
    let NewApiKey { key, settings } = NewApiKey::generate(name, scopes, None, None).unwrap();
    (key.expose().to_owned(), settings)
}

async fn gateway_with(name: &str, settings: &ApiKeySettings) -> TestGateway {
    let add = |all: &mut Settings| {
        all.auth.api_keys.insert(name.to_owned(), settings.clone());
    };
    TestGateway::builder().settings(add).start().await
}

async fn answer(request: RequestBuilder) -> Answer {
    Answer::of(request.json(&setosa()).send().await.unwrap()).await
}

fn post(gateway: &TestGateway, path: &str) -> RequestBuilder {
    gateway.client.post(gateway.url(path))
}

#[tokio::test]
async fn a_key_is_taken_as_a_token_and_in_its_own_header() {
    let (key, settings) = api_key("shop", "predict:iris");
    let gateway = gateway_with("shop", &settings).await;
    // The first is verified, the second known.
    for _ in 0..2 {
        for request in [
            post(&gateway, "/predict").bearer_auth(&key),
            post(&gateway, "/predict").header("x-api-key", &key),
            // A layer reads what the fast path does not.
            post(&gateway, "/predict").header("x-api-key", &key).header("x-tenant", "a"),
        ] {
            let answered = answer(request).await;
            assert_eq!(answered.status, StatusCode::OK, "{answered:?}");
        }
        let mut client = gateway.grpc_without_token();
        let mut call = Request::new(grpc::setosa_raw());
        call.metadata_mut().insert("x-api-key", key.parse().unwrap());
        client.model_infer(call).await.unwrap();
    }
    let request = gateway.client.get(gateway.url("/models")).header("x-api-key", &key);
    let refused = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((refused.status, refused.problem_code()), (StatusCode::FORBIDDEN, "insufficient_scope"));
}

#[tokio::test]
async fn what_is_no_key_is_refused_like_any_bad_token() {
    let (key, settings) = api_key("shop", "predict");
    let (other, _) = api_key("shop", "predict");
    let gateway = gateway_with("shop", &settings).await;
    let cut = key[..key.len() - 1].to_owned();
    table::each_async([other.clone(), cut, "ogk_shop_".to_owned(), "ogk_".to_owned()], async |wrong| {
        for request in [
            post(&gateway, "/predict").bearer_auth(&wrong),
            post(&gateway, "/predict").header("x-api-key", &wrong),
        ] {
            let refused = answer(request).await;
            assert_eq!((refused.status, refused.problem_code()), (StatusCode::UNAUTHORIZED, "invalid_token"));
            assert!(!refused.text.contains(&wrong), "{refused:?}");
        }
    })
    .await;
    let mut call = Request::new(grpc::setosa_raw());
    call.metadata_mut().insert("x-api-key", other.parse().unwrap());
    let status = gateway.grpc_without_token().model_infer(call).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
}

#[tokio::test]
async fn there_is_one_way_to_say_who_one_is() {
    let (key, settings) = api_key("shop", "predict");
    let gateway = gateway_with("shop", &settings).await;
    let token = TokenBuilder::new().build();
    let both = answer(post(&gateway, "/predict").bearer_auth(&token).header("x-api-key", &key)).await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST, "{both:?}");
    // Twice, since the second may take the fast path.
    for _ in 0..2 {
        let of_a_proxy = post(&gateway, "/predict").basic_auth("proxy", Some("p")).header("x-api-key", &key);
        assert_eq!(answer(of_a_proxy).await.status, StatusCode::OK);
    }
    let of_a_proxy = post(&gateway, "/predict").bearer_auth(&token).header("x-api-key", "of a proxy");
    assert_eq!(answer(of_a_proxy).await.status, StatusCode::OK);
    let alone = answer(post(&gateway, "/predict").header("x-api-key", "of a proxy")).await;
    assert_eq!((alone.status, alone.problem_code()), (StatusCode::UNAUTHORIZED, "no_token"));
}

#[tokio::test]
async fn a_key_ends_with_its_day_or_its_setting() {
    let (key, mut settings) = api_key("shop", "predict");
    settings.expires = Some("2035-06-30".to_owned());
    let gateway = gateway_with("shop", &settings).await;
    let ask = async || answer(post(&gateway, "/predict").bearer_auth(&key)).await.status;
    assert_eq!(ask().await, StatusCode::OK);
    let days = i64::try_from(Duration::from_hours(24 * 366 * 10).as_secs()).unwrap();
    gateway.clock.advance(days);
    assert_eq!(ask().await, StatusCode::UNAUTHORIZED, "it was known, and has expired");
    gateway.clock.advance(-days);
    assert_eq!(ask().await, StatusCode::OK);
    gateway.reload(|settings| settings.auth.api_keys.clear());
    assert_eq!(ask().await, StatusCode::UNAUTHORIZED, "it is revoked at once");
}

/// The value of a series of the key `shop`; `None` if there is none.
fn of_shop(metrics: &str, name: &str) -> Option<i64> {
    let series = format!("{name}{{key=\"shop\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn the_metrics_show_when_a_key_was_used_last_and_when_it_ends() {
    let (key, mut settings) = api_key("shop", "predict");
    settings.expires = Some("2035-06-30T00:00:00Z".to_owned());
    let gateway = gateway_with("shop", &settings).await;
    let last_used = async || of_shop(&gateway.metrics().await, "gateway_api_key_last_used_seconds");
    assert_eq!(last_used().await, None);
    assert_eq!(of_shop(&gateway.metrics().await, "gateway_api_key_end_seconds"), Some(2_066_774_400));
    let use_key = async || answer(post(&gateway, "/predict").header("x-api-key", &key)).await.status;
    assert_eq!(use_key().await, StatusCode::OK);
    let first = last_used().await.expect("it was used");
    // Now it is known, so this takes the fast path.
    gateway.clock.advance(600);
    assert_eq!(use_key().await, StatusCode::OK);
    let second = last_used().await.expect("it was used");
    assert!((600..700).contains(&(second - first)), "{first} {second}");
    gateway
        .reload(|settings| settings.auth.api_keys.get_mut("shop").unwrap().scopes = vec!["read".to_owned()]);
    assert_eq!(last_used().await, Some(second), "a reload keeps it");
    gateway.reload(|settings| settings.auth.api_keys.clear());
    assert_eq!(last_used().await, None, "the key is gone");
}

#[tokio::test]
async fn keys_alone_are_enough_to_serve() {
    let (key, settings) = api_key("shop", "predict");
    let builder = TestGateway::builder().settings(|all| {
        all.auth.signing_secret = None;
        all.auth.clients.clear();
        all.auth.api_keys.insert("shop".to_owned(), settings);
    });
    let gateway = builder.start().await;
    assert_eq!(answer(post(&gateway, "/predict").bearer_auth(&key)).await.status, StatusCode::OK);
    let token = TokenBuilder::new().build();
    assert_eq!(answer(post(&gateway, "/predict").bearer_auth(&token)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_key_is_a_caller_with_a_quota_of_its_own() {
    let ((one, first), (other, second)) = (api_key("one", "predict"), api_key("other", "predict"));
    let builder = TestGateway::builder().settings(|all| {
        all.rate_limit.enabled = true;
        all.rate_limit.per_address.requests = 1000;
        (all.rate_limit.per_caller.requests, all.rate_limit.per_caller.period_seconds) = (2, 86_400);
        all.auth.api_keys.insert("one".to_owned(), first);
        all.auth.api_keys.insert("other".to_owned(), second);
    });
    let gateway = builder.start().await;
    let ask = async |key: &str| answer(post(&gateway, "/predict").bearer_auth(key)).await.status;
    assert_eq!([ask(&one).await, ask(&one).await], [StatusCode::OK; 2]);
    assert_eq!(ask(&one).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&other).await, StatusCode::OK);
    let of_its_name = TokenBuilder::new().claim("sub", json!("one")).build();
    assert_eq!(ask(&of_its_name).await, StatusCode::OK, "a token of the same name is another caller's");
}

#[tokio::test]
async fn what_a_caller_reads_is_kept_by_no_shared_cache() {
    let (key, settings) = api_key("shop", "read");
    let gateway = gateway_with("shop", &settings).await;
    for path in ["/models", "/models/iris", "/v2/models/iris", "/v1/models/iris", "/models/iris/history"] {
        let request = gateway.client.get(gateway.url(path)).header("x-api-key", &key);
        let answered = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answered.status, StatusCode::OK, "{path}: {answered:?}");
        let cache = answered.header("cache-control");
        assert!(cache.contains("private") || cache.contains("no-store"), "{path}: {cache}");
    }
}

#[test]
fn no_token_can_be_taken_for_a_key() {
    let settings = AuthSettings {
        signing_secret: Some(Secret::new(SECRET.to_owned())),
        issuer: "onnx-gateway/api-keys".to_owned(),
        ..AuthSettings::default()
    };
    let problems = Authentication::new(&settings, &|_| false).unwrap_err();
    assert_eq!(problems[0].key, "auth.issuer", "{problems:?}");
}

#[test]
fn the_command_prints_settings_and_shows_the_key_once() {
    let made =
        run(&["api-key", "ci.main", "--scope", "predict:iris read", "--plan", "gold"], Path::new("."), &[]);
    assert!(made.status.success(), "{made:?}");
    let settings: toml::Table = text(&made.stdout).parse().unwrap();
    let key = &settings["auth"]["api_keys"]["ci.main"];
    assert!(key["hash"].as_str().unwrap().starts_with("sha256:"), "{key}");
    assert_eq!(key["scopes"].as_array().unwrap().len(), 2);
    assert_eq!(key["plan"].as_str(), Some("gold"));
    assert!(text(&made.stderr).contains("ogk_ci.main_") && !text(&made.stdout).contains("ogk_"), "{made:?}");
    for (arguments, part) in [
        (&["api-key", "a b"][..], "is not a name for an API key"),
        (&["api-key", "ci", "--scope", "fly"], "`fly` is not a scope"),
        (&["api-key", "ci", "--scope", ""], "at least one scope"),
        (&["api-key", "ci", "--expires", "soon"], "`soon` is not a date"),
    ] {
        let refused = run(arguments, Path::new("."), &[]);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(text(&refused.stderr).contains(part), "{refused:?}");
    }
}
