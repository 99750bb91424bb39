//! Keys that come and go.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{ask, started, status};
use crate::support::{
    TestGateway,
    issuer::TestIssuer,
    pause,
    tokens::{SigningKey, TokenBuilder},
};

#[tokio::test]
async fn a_key_counts_from_its_first_token_on_and_until_it_is_withdrawn() {
    let (old, new) = (SigningKey::es256(), SigningKey::eddsa());
    let issuer = TestIssuer::start(&[("1", &old)]).await;
    let gateway = started(&issuer).await;
    let of_old = issuer.signed("1", &old);
    for _ in 0..2 {
        assert_eq!(status(&gateway, &of_old).await, StatusCode::OK);
    }
    issuer.publish(&[("1", &old), ("2", &new)]);
    assert_eq!(status(&gateway, &issuer.signed("2", &new)).await, StatusCode::OK, "fetched for the request");
    assert_eq!(status(&gateway, &of_old).await, StatusCode::OK, "both are published");
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_token_that_was_known_is_refused_once_its_key_is_withdrawn() {
    let (old, new) = (SigningKey::es256(), SigningKey::es256());
    let issuer = TestIssuer::start(&[("1", &old)]).await;
    let gateway = started(&issuer).await;
    let of_old = issuer.signed("1", &old);
    for _ in 0..2 {
        assert_eq!(status(&gateway, &of_old).await, StatusCode::OK);
    }
    issuer.publish(&[("2", &new)]);
    assert_eq!(status(&gateway, &issuer.signed("2", &new)).await, StatusCode::OK);
    let refused = ask(&gateway, &of_old).await;
    assert_eq!((refused.status, refused.problem_code()), (StatusCode::UNAUTHORIZED, "invalid_token"));
}

#[tokio::test]
async fn a_key_that_returns_with_other_material_is_another_key() {
    let (old, new) = (SigningKey::es256(), SigningKey::es256());
    let issuer = TestIssuer::start(&[("1", &old)]).await;
    let gateway = started(&issuer).await;
    let of_old = issuer.signed("1", &old);
    assert_eq!(status(&gateway, &of_old).await, StatusCode::OK);
    issuer.publish(&[("1", &new)]);
    let of_unknown = issuer.signed("2", &new);
    assert_eq!(status(&gateway, &of_unknown).await, StatusCode::UNAUTHORIZED, "which causes a fetch");
    assert_eq!(status(&gateway, &of_old).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&gateway, &issuer.signed("1", &new)).await, StatusCode::OK);
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_together() {
    let (key, stranger) = (SigningKey::es256(), SigningKey::es256());
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    let gateway = started(&issuer).await;
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    let kids = ["../1", "1' OR '1'='1", "2", "a b"];
    for round in 0..25 {
        for kid in kids {
            let token = issuer.signed(&format!("{kid}{round}"), &stranger);
            assert_eq!(status(&gateway, &token).await, StatusCode::UNAUTHORIZED, "{kid}");
        }
    }
    assert_eq!(issuer.fetches(), 2, "one at the start, one for all of them");
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
}

#[tokio::test]
async fn only_a_token_that_could_be_valid_causes_a_fetch() {
    let (key, stranger) = (SigningKey::es256(), SigningKey::es256());
    let issuer = TestIssuer::start(&[("1", &key)]).await;
    let gateway = started(&issuer).await;
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    let of_stranger = |token: TokenBuilder| token.build_with(&stranger);
    for token in [
        issuer.token("2", &stranger).claim("exp", json!(1)),
        issuer.token("2", &stranger).claim("aud", json!("another")),
        issuer.token("2", &stranger).claim("sub", json!("")),
        issuer.token("2", &stranger).header("alg", json!("HS256")),
        issuer.token("1", &stranger),
    ] {
        assert_eq!(status(&gateway, &of_stranger(token)).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_rotation_under_load_refuses_no_good_token() {
    let keys: Arc<[SigningKey]> = (0..2).map(|_| SigningKey::es256()).collect();
    let issuer = Arc::new(TestIssuer::start(&[("0", &keys[0])]).await);
    let gateway = Arc::new(started(&issuer).await);
    let (newest, is_over, sent) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<JoinHandle<()>> = (0..8)
        .map(|_| {
            let (keys, issuer, gateway) = (Arc::clone(&keys), Arc::clone(&issuer), Arc::clone(&gateway));
            let (newest, is_over, sent) = (Arc::clone(&newest), Arc::clone(&is_over), Arc::clone(&sent));
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let at = newest.load(Ordering::SeqCst);
                    let count = sent.fetch_add(1, Ordering::SeqCst);
                    let token =
                        issuer.token(&at.to_string(), &keys[at]).claim("jti", json!(count.to_string()));
                    assert_eq!(status(&gateway, &token.build_with(&keys[at])).await, StatusCode::OK);
                }
            })
        })
        .collect();
    let until = async |more: usize| {
        let goal = sent.load(Ordering::SeqCst) + more;
        while sent.load(Ordering::SeqCst) < goal {
            assert!(!clients.iter().any(JoinHandle::is_finished), "a client has seen a refusal");
            pause().await;
        }
    };
    until(50).await;
    issuer.publish(&[("0", &keys[0]), ("1", &keys[1])]);
    newest.store(1, Ordering::SeqCst);
    until(50).await;
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(issuer.fetches(), 2, "all wait for the same fetch");
}

#[tokio::test]
async fn a_reload_keeps_what_was_fetched() {
    let key = SigningKey::es256();
    let (issuer, other) = (TestIssuer::start(&[("1", &key)]).await, TestIssuer::start(&[("1", &key)]).await);
    let gateway = started(&issuer).await;
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    let of = |gateway: &TestGateway, change: fn(&mut onnx_gateway::config::IssuerSettings)| {
        let settings = other.settings();
        let reloaded = gateway.reload(|all| {
            all.auth.issuers.insert("other".to_owned(), settings);
            change(all.auth.issuers.get_mut("login").unwrap());
        });
        assert!(!reloaded.applied.is_empty() && reloaded.needs_restart.is_empty(), "{reloaded:?}");
    };
    of(&gateway, |_| {});
    assert_eq!(status(&gateway, &other.signed("1", &key)).await, StatusCode::OK);
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    assert_eq!(issuer.fetches(), 1, "its settings are as before");
    of(&gateway, |login| login.leeway_seconds = Some(5));
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    assert_eq!(issuer.fetches(), 1, "rules are not a reason to fetch");
}
