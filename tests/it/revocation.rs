//! Revocation of tokens, by clients and by operators.

use std::{fs, time::Duration};

use futures_util::stream;
use onnx_gateway::config::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Code;

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, PATIENCE, TestGateway, client,
    grpc::{client_at, setosa_raw},
    setosa, table,
    tokens::{TokenBuilder, now},
};

/// Another client than [`CLIENT_ID`], with the same secret.
const OTHER: &str = "office";

fn with_two_clients(settings: &mut Settings) {
    settings.auth.clients.insert(OTHER.to_owned(), client(&["predict", "read"]));
}

async fn token_of(gateway: &TestGateway, id: &str) -> String {
    let grant = [("grant_type", "client_credentials")];
    let request = gateway.client.post(gateway.url("/token")).basic_auth(id, Some(CLIENT_SECRET)).form(&grant);
    let granted = Answer::of(request.send().await.unwrap()).await;
    granted.body["access_token"].as_str().unwrap_or_else(|| panic!("{granted:?}")).to_owned()
}

async fn predict(gateway: &TestGateway, token: &str) -> StatusCode {
    let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token).json(&setosa());
    request.send().await.unwrap().status()
}

async fn revoke_as(gateway: &TestGateway, id: &str, secret: &str, form: &[(&str, &str)]) -> Answer {
    let request = gateway.client.post(gateway.url("/revoke")).basic_auth(id, Some(secret)).form(form);
    Answer::of(request.send().await.unwrap()).await
}

async fn revoke_json(gateway: &TestGateway, token: &str, body: Value) -> Answer {
    let request = gateway.client.post(gateway.url("/revoke")).bearer_auth(token).json(&body);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_client_revokes_its_own_token_and_no_other() {
    let gateway = TestGateway::builder().settings(with_two_clients).start().await;
    let (first, second) = (token_of(&gateway, CLIENT_ID).await, token_of(&gateway, CLIENT_ID).await);
    for token in [&first, &second, &first] {
        assert_eq!(predict(&gateway, token).await, StatusCode::OK);
    }
    let mut call = client_at(gateway.grpc_address(), Some(first.clone()));
    call.model_infer(setosa_raw()).await.unwrap();
    let of_other = token_of(&gateway, OTHER).await;
    for (id, secret, token, status, error) in [
        (CLIENT_ID, "wrong", first.as_str(), 401, "invalid_client"),
        (OTHER, CLIENT_SECRET, &first, 400, "invalid_grant"),
        (CLIENT_ID, CLIENT_SECRET, "ogk_a_b", 400, "unsupported_token_type"),
    ] {
        let answer = revoke_as(&gateway, id, secret, &[("token", token)]).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]), (status, &json!(error)), "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(predict(&gateway, &first).await, StatusCode::OK, "no refusal has revoked it");
    let hint = ("token_type_hint", "refresh_token");
    let done = revoke_as(&gateway, CLIENT_ID, CLIENT_SECRET, &[("token", &first), hint]).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    assert_eq!(done.body, json!({"revoked": true, "recorded": true}));
    let refused = gateway.client.post(gateway.url("/predict")).bearer_auth(&first).json(&setosa());
    let refused = Answer::of(refused.send().await.unwrap()).await;
    assert_eq!((refused.status, refused.problem_code()), (StatusCode::UNAUTHORIZED, "invalid_token"));
    assert_eq!(call.model_infer(setosa_raw()).await.unwrap_err().code(), Code::Unauthenticated);
    for token in [&second, &of_other] {
        assert_eq!(predict(&gateway, token).await, StatusCode::OK);
    }
    // A token that is not valid is as good as revoked.
    for token in [first.as_str(), "a.b.c", ""] {
        let again = revoke_as(&gateway, CLIENT_ID, CLIENT_SECRET, &[("token", token)]).await;
        assert_eq!((again.status, &again.body["revoked"]), (StatusCode::OK, &json!(false)), "{again:?}");
    }
    let none = revoke_as(&gateway, CLIENT_ID, CLIENT_SECRET, &[]).await;
    assert_eq!((none.status.as_u16(), &none.body["error"]), (400, &json!("invalid_request")), "{none:?}");
}

#[tokio::test]
async fn an_operator_revokes_by_token_by_id_and_by_subject_over_a_restart() {
    let gateway = TestGateway::start().await;
    let operator = TokenBuilder::new().claim("sub", json!("ops")).scope("manage").build();
    let of = |subject: &str, id: &str| {
        TokenBuilder::new().claim("sub", json!(subject)).claim("jti", json!(id)).build()
    };
    let (by_token, by_id, kept) = (of("ann", "1"), of("ann", "2"), of("ann", "3"));
    let of_subject = [of("bob", "4"), TokenBuilder::new().claim("sub", json!("bob")).build()];
    for token in [&by_token, &by_id, &kept, &of_subject[0], &of_subject[1]] {
        assert_eq!(predict(&gateway, token).await, StatusCode::OK);
    }
    let reader = TokenBuilder::new().scope("manage:iris read").build();
    let forbidden = revoke_json(&gateway, &reader, json!({"subject": "bob"})).await;
    assert_eq!((forbidden.status, forbidden.problem_code()), (StatusCode::FORBIDDEN, "insufficient_scope"));
    let wrong = [json!({}), json!({"jti": "1", "subject": "bob"}), json!({"jti": ""}), json!({"sub": "bob"})];
    table::each_async(wrong, async |body| {
        let answer = revoke_json(&gateway, &operator, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "invalid_body"), "{answer:?}");
    })
    .await;
    let bodies = [json!({"token": by_token}), json!({"jti": "2"}), json!({"subject": "bob"})];
    for body in bodies {
        let done = revoke_json(&gateway, &operator, body).await;
        assert_eq!(done.body, json!({"revoked": true, "recorded": true}), "{done:?}");
    }
    let holds = async |gateway: &TestGateway| {
        for token in [&by_token, &by_id, &of_subject[0], &of_subject[1]] {
            assert_eq!(predict(gateway, token).await, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(predict(gateway, &kept).await, StatusCode::OK);
        let later = TokenBuilder::new().claim("sub", json!("bob")).claim("iat", json!(now() + 2)).build();
        assert_eq!(predict(gateway, &later).await, StatusCode::OK, "issued after the revocation");
    };
    holds(&gateway).await;
    let _ = gateway.reload(|settings| settings.auth.leeway_seconds += 1);
    holds(&gateway).await;
    let gateway = gateway.stop().await.start().await;
    holds(&gateway).await;
    gateway.shut_down().await;
}

#[tokio::test]
async fn open_streams_end_with_their_token() {
    let gateway = TestGateway::start().await;
    let token = TokenBuilder::new().claim("jti", json!("a")).build();
    let request = gateway.client.get(gateway.url("/events")).bearer_auth(&token);
    let mut events = request.send().await.unwrap();
    let mut call = client_at(gateway.grpc_address(), Some(token.clone()));
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let requests = stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) });
    let mut answers = call.model_stream_infer(requests).await.unwrap().into_inner();
    send.send(setosa_raw()).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().error_message, "");
    let operator = TokenBuilder::new().scope("manage").build();
    let done = revoke_json(&gateway, &operator, json!({"jti": "a"})).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    // Nothing is sent: an idle stream ends too.
    let ended = timeout(PATIENCE, answers.message()).await.expect("the stream ends").unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    let mut text = String::new();
    while let Some(chunk) = timeout(PATIENCE, events.chunk()).await.expect("the stream ends").unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.ends_with("event: end\ndata: {\"reason\":\"token_revoked\"}\n\n"), "{text}");
}

#[tokio::test]
async fn without_a_state_directory_a_revocation_holds_until_the_restart() {
    let builder = TestGateway::builder();
    let state = builder.repository.state();
    fs::write(&state, "a file, where a folder should be").unwrap();
    let gateway = builder.start().await;
    let token = TokenBuilder::new().claim("jti", json!("a")).scope("manage predict").build();
    let done = revoke_json(&gateway, &token, json!({"jti": "a"})).await;
    assert_eq!(done.body, json!({"revoked": true, "recorded": false}), "{done:?}");
    assert_eq!(predict(&gateway, &token).await, StatusCode::UNAUTHORIZED);
    // It is recorded as soon as it can be.
    fs::remove_file(&state).unwrap();
    let recorded = async {
        while !state.join("revocations.json").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, recorded).await.expect("the file is written");
}
