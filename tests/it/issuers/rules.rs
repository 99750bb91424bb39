//! What the tokens of an issuer must say, and what they permit.

use onnx_gateway::config::{GrantedScopes, IssuerSettings};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ask, gateway, status};
use crate::support::{
    issuer::TestIssuer,
    tokens::{SigningKey, TokenBuilder, now},
};

#[tokio::test]
async fn each_issuer_has_keys_of_its_own() {
    let (one_key, other_key) = (SigningKey::es256(), SigningKey::es256());
    let one = TestIssuer::start(&[("1", &one_key)]).await;
    let other = TestIssuer::start(&[("1", &other_key)]).await;
    let gateway = gateway([("one", one.settings()), ("other", other.settings())]).start().await;
    assert_eq!(status(&gateway, &one.signed("1", &one_key)).await, StatusCode::OK);
    assert_eq!(status(&gateway, &other.signed("1", &other_key)).await, StatusCode::OK);
    assert_eq!(status(&gateway, &TokenBuilder::new().build()).await, StatusCode::OK, "the gateway's own");
    let shared = SigningKey::shared_secret();
    for (case, token) in [
        ("the key of the other", one.signed("1", &other_key)),
        ("the key of the gateway", one.token("1", &shared).build_with(&shared)),
        ("no key id, and the key of the other", {
            one.token("1", &other_key).header("kid", Value::Null).build_with(&other_key)
        }),
        ("the gateway's issuer, and the key of another", {
            TokenBuilder::new().header("alg", json!("ES256")).header("kid", json!("1")).build_with(&one_key)
        }),
        ("an unknown issuer", one.token("1", &one_key).claim("iss", json!("https://x")).build_with(&one_key)),
        ("no issuer", one.token("1", &one_key).claim("iss", Value::Null).build_with(&one_key)),
        ("a list of issuers", one.token("1", &one_key).claim("iss", json!([one.url()])).build_with(&one_key)),
    ] {
        let answer = ask(&gateway, &token).await;
        assert_eq!(
            (answer.status, answer.problem_code()),
            (StatusCode::UNAUTHORIZED, "invalid_token"),
            "{case}"
        );
    }
    let without_id = one.token("1", &one_key).header("kid", Value::Null).build_with(&one_key);
    assert_eq!(status(&gateway, &without_id).await, StatusCode::OK, "a key is found by its algorithm");
}

#[tokio::test]
async fn every_claim_is_judged() {
    let key = SigningKey::es256();
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    let settings = IssuerSettings {
        leeway_seconds: Some(5),
        required_claims: [
            ("token_use".to_owned(), ["access", "api"].into_iter().collect()),
            ("organization.verified".to_owned(), ["true"].into_iter().collect()),
        ]
        .into(),
        ..issuer.settings()
    };
    let gateway = gateway([("login", settings)]).start().await;
    let good = || {
        let token = issuer.token("1", &key).claim("token_use", json!("access"));
        token.claim("organization", json!({"verified": true}))
    };
    for (claim, value) in [
        ("iat", Value::Null),
        ("aud", json!(["another", crate::support::issuer::AUDIENCE])),
        ("token_use", json!("api")),
        ("token_use", json!(["other", "api"])),
        ("organization", json!({"verified": "true"})),
        ("nbf", json!(now() + 3)),
        ("exp", serde_json::from_str(&format!("{}.5", now() + 60)).unwrap()),
    ] {
        let token = good().claim(claim, value.clone()).build_with(&key);
        assert_eq!(status(&gateway, &token).await, StatusCode::OK, "{claim} = {value}");
    }
    for (claim, value) in [
        ("aud", Value::Null),
        ("aud", json!("another")),
        ("aud", json!(["another"])),
        ("aud", json!(1)),
        ("aud", json!({})),
        ("aud", json!([])),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!("s".repeat(257))),
        ("sub", json!(1)),
        ("exp", Value::Null),
        ("exp", json!("4102444800")),
        ("exp", json!(now() - 6)),
        ("exp", json!(-1)),
        ("exp", json!(now() + 90_000)),
        ("nbf", json!(now() + 20)),
        ("nbf", json!("soon")),
        ("iat", json!(now() + 20)),
        ("token_use", Value::Null),
        ("token_use", json!("id")),
        ("token_use", json!({"access": true})),
        ("organization", json!({"verified": false})),
        ("organization", json!({})),
    ] {
        let token = good().claim(claim, value.clone()).build_with(&key);
        let answer = ask(&gateway, &token).await;
        assert_eq!(
            (answer.status, answer.problem_code()),
            (StatusCode::UNAUTHORIZED, "invalid_token"),
            "{claim} = {value}"
        );
    }
    let (header, claims) = (good().header.to_string(), good().claims.to_string());
    for duplicate in [r#","sub":"another"}"#, r#","x":{"a":1,"a":1}}"#] {
        let twice = format!("{}{duplicate}", claims.strip_suffix('}').unwrap());
        assert_eq!(
            status(&gateway, &key.sign_json(&header, &twice)).await,
            StatusCode::UNAUTHORIZED,
            "{duplicate}"
        );
    }
    for (parameter, value) in [("typ", json!("id+jwt")), ("jku", json!("https://x")), ("crit", json!(["x"]))]
    {
        let token = good().header(parameter, value).build_with(&key);
        assert_eq!(status(&gateway, &token).await, StatusCode::UNAUTHORIZED, "{parameter}");
    }
}

#[tokio::test]
async fn scopes_come_from_the_claim_that_the_settings_name() {
    let key = SigningKey::es256();
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    let with = |claim: &str, scopes: &[(&str, &str)]| IssuerSettings {
        scope_claim: claim.to_owned(),
        scopes: scopes
            .iter()
            .map(|(value, granted)| ((*value).to_owned(), GrantedScopes(vec![(*granted).to_owned()])))
            .collect(),
        ..issuer.settings()
    };
    let cases = [
        (with("scope", &[]), json!({"scope": "openid predict:iris"}), true),
        (with("scope", &[]), json!({"scope": "openid read"}), false),
        (with("scp", &[]), json!({"scp": ["read", "predict"]}), true),
        (with("scp", &[]), json!({"scope": "predict"}), false),
        (
            with("realm_access.roles", &[("ML-Admin", "predict")]),
            json!({"realm_access": {"roles": ["x", "ML-Admin"]}}),
            true,
        ),
        (
            with("realm_access.roles", &[("ML-Admin", "predict")]),
            json!({"realm_access": {"roles": ["ml-admin"]}}),
            false,
        ),
        (with("scope", &[("models/predict", "predict:iris")]), json!({"scope": "models/predict"}), true),
        // With a table, only its values grant something.
        (with("scope", &[("models/predict", "predict:iris")]), json!({"scope": "predict"}), false),
        (
            with("https://example.com/roles", &[("a b", "predict")]),
            json!({"https://example.com/roles": ["a b"]}),
            true,
        ),
        (with("scope", &[]), json!({"scope": {"predict": true}}), false),
        (with("scope", &[]), json!({}), false),
    ];
    for (settings, claims, is_permitted) in cases {
        let gateway = gateway([("login", settings)]).start().await;
        let mut token = issuer.token("1", &key).claim("scope", Value::Null);
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        let answer = ask(&gateway, &token.build_with(&key)).await;
        let expected = if is_permitted { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, expected, "{claims}");
    }
}
