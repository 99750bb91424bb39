//! Issuers that do not hand out their keys, or hand out something else.

use reqwest::StatusCode;
use serde_json::json;

use super::{ask, gateway, started, status};
use crate::support::{
    TestGateway,
    issuer::{Behavior, TestIssuer, jwk},
    pause,
    tokens::SigningKey,
};

/// Asks until a token is accepted; until then it gets 503.
async fn accepted(gateway: &TestGateway, token: &str) {
    loop {
        let answer = ask(gateway, token).await;
        if answer.status == StatusCode::OK {
            return;
        }
        assert_eq!(answer.problem_code(), "issuer_keys_unavailable");
        pause().await;
    }
}

#[tokio::test]
async fn a_gateway_starts_without_its_issuer_and_follows_it() {
    let key = SigningKey::es256();
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    issuer.behave(Behavior::Status(500));
    let gateway = started(&issuer).await;
    let token = issuer.signed("1", &key);
    let answer = ask(&gateway, &token).await;
    assert_eq!(
        (answer.status, answer.problem_code()),
        (StatusCode::SERVICE_UNAVAILABLE, "issuer_keys_unavailable")
    );
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(!answer.headers.contains_key("www-authenticate"), "the token may be good");
    let ready = gateway.client.get(gateway.url("/health/ready")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK, "other callers are served");
    let own = gateway.predict(&crate::support::setosa()).await;
    assert_eq!(own.status, StatusCode::OK);
    issuer.behave(Behavior::Keys);
    accepted(&gateway, &token).await;
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains(r#"gateway_issuer_fetches_total{issuer="login",outcome="fetched"} 1"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"gateway_issuer_fetches_total{issuer="login",outcome="status"}"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"gateway_issuer_keys_time_seconds{issuer="login"}"#), "{metrics}");
}

#[tokio::test]
async fn the_last_good_keys_outlive_their_source() {
    let (key, new) = (SigningKey::es256(), SigningKey::es256());
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    let gateway = started(&issuer).await;
    let token = issuer.signed("1", &key);
    assert_eq!(status(&gateway, &token).await, StatusCode::OK);
    for (behavior, outcome) in [
        (Behavior::Status(503), "status"),
        (Behavior::Status(302), "status"),
        (Behavior::Text("<html>".to_owned()), "malformed"),
        (Behavior::Text(json!({"keys": []}).to_string()), "malformed"),
        (Behavior::Endless, "too_large"),
        (Behavior::Silent, "timeout"),
    ] {
        // A gateway of its own for each: after a failure, the next fetch takes its time.
        issuer.behave(Behavior::Keys);
        let gateway = started(&issuer).await;
        assert_eq!(status(&gateway, &token).await, StatusCode::OK);
        issuer.behave(behavior.clone());
        let unknown = ask(&gateway, &issuer.signed("2", &new)).await;
        assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE, "{behavior:?}: it may be a new key");
        assert_eq!(status(&gateway, &token).await, StatusCode::OK, "{behavior:?}");
        let series = format!(r#"gateway_issuer_fetches_total{{issuer="login",outcome="{outcome}"}} 1"#);
        gateway.metrics_until(|metrics| metrics.contains(&series)).await;
    }
}

#[tokio::test]
async fn a_bad_key_does_not_take_the_others_away() {
    let key = SigningKey::rs256();
    let with = |name: &str, value: serde_json::Value, mut jwk: serde_json::Value| {
        jwk[name] = value;
        jwk
    };
    let other = SigningKey::es256();
    let issuer = TestIssuer::start(&[]).await;
    issuer.publish_jwks(vec![
        json!({"kty": "oct", "kid": "secret", "alg": "HS256", "k": "c2VjcmV0"}),
        json!({"kty": "future", "kid": "unknown"}),
        json!({"kty": "RSA", "kid": "weak", "alg": "RS256", "e": "AQAB", "n": "AL".to_owned() + &"x".repeat(170)}),
        with("use", json!("enc"), jwk("encryption", &other)),
        with("key_ops", json!(["sign"]), jwk("signer", &other)),
        with("d", json!("AAAA"), jwk("private", &other)),
        with("alg", json!("RSA-OAEP"), jwk("oaep", &key)),
        with("kid", json!(7), jwk("number", &other)),
        jwk("twice", &other),
        jwk("twice", &SigningKey::es256()),
        json!("text"),
        with("x5c", json!(["ignored"]), with("use", json!("sig"), jwk("good", &key))),
    ]);
    let gateway = started(&issuer).await;
    assert_eq!(status(&gateway, &issuer.signed("good", &key)).await, StatusCode::OK);
    for kid in ["encryption", "signer", "private", "number", "twice"] {
        let answer = ask(&gateway, &issuer.signed(kid, &other)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{kid}");
    }
    let of_secret = SigningKey::bytes(b"secret");
    assert_eq!(status(&gateway, &issuer.signed("secret", &of_secret)).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_without_an_algorithm_is_bound_to_one() {
    let key = SigningKey::rs256();
    let issuer = TestIssuer::start(&[]).await;
    let mut bare = jwk("1", &key);
    bare.as_object_mut().unwrap().remove("alg");
    issuer.publish_jwks(vec![bare]);
    let gateway = started(&issuer).await;
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    let of_pss = key.by(jsonwebtoken::Algorithm::PS256, "PS256");
    assert_eq!(status(&gateway, &issuer.signed("1", &of_pss)).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn discovery_leads_to_no_other_issuer_and_no_other_origin() {
    let key = SigningKey::es256();
    for (name, value) in [
        ("issuer", json!("https://another.example")),
        ("jwks_uri", json!("https://another.example/keys")),
        ("jwks_uri", json!("http://localhost:1/keys")),
        ("jwks_uri", json!(null)),
    ] {
        let issuer = TestIssuer::start(&[("1", &key)]).await;
        issuer.discovery(name, value.clone());
        let gateway = started(&issuer).await;
        let answer = ask(&gateway, &issuer.signed("1", &key)).await;
        assert_eq!(answer.problem_code(), "issuer_keys_unavailable", "{value}");
        assert_eq!(issuer.fetches(), 0, "{value}: the keys are not even asked for");
        let series = r#"gateway_issuer_fetches_total{issuer="login",outcome="discovery"}"#;
        gateway.metrics_until(|metrics| metrics.contains(series)).await;
    }
}

#[tokio::test]
async fn the_url_of_the_keys_needs_no_discovery() {
    let key = SigningKey::es256();
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    let mut settings = issuer.settings();
    settings.discovery = None;
    settings.jwks_url = Some(format!("{}/keys", issuer.url()));
    issuer.discovery("issuer", json!("https://another.example"));
    let gateway = gateway([("login", settings)]).start().await;
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
}
