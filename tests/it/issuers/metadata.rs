//! How clients find out where tokens come from (RFC 9728).

use onnx_gateway::config::IssuerSettings;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::gateway;
use crate::support::{Answer, TestGateway, setosa, tokens::TokenBuilder};

const PATH: &str = "/.well-known/oauth-protected-resource";

fn issuer(identifier: &str) -> IssuerSettings {
    IssuerSettings {
        issuer: Some(identifier.to_owned()),
        audience: vec!["models".to_owned()],
        // Nothing listens there.
        jwks_url: Some("http://127.0.0.1:9/keys".to_owned()),
        ..IssuerSettings::default()
    }
}

async fn metadata(gateway: &TestGateway) -> Answer {
    Answer::of(gateway.client.get(gateway.url(PATH)).send().await.unwrap()).await
}

/// The challenge to a prediction with this token.
async fn challenge(gateway: &TestGateway, path: &str, token: Option<String>) -> (StatusCode, String) {
    let mut request = gateway.client.post(gateway.url(path)).json(&setosa());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = Answer::of(request.send().await.unwrap()).await;
    (answer.status, answer.header("www-authenticate").to_owned())
}

#[tokio::test]
async fn a_gateway_with_a_url_says_where_tokens_come_from() {
    let issuers = [("login", issuer("https://login.example.com/a")), ("other", issuer("urn:example:other"))];
    let gateway = gateway(issuers).settings(|settings| {
        settings.server.public_url = Some("https://models.example.com/ml/".to_owned());
        settings.mcp.enabled = true;
    });
    let gateway = gateway.start().await;
    let answer = metadata(&gateway).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let expected = json!({
        "resource": "https://models.example.com/ml",
        "resource_name": "onnx-gateway",
        "authorization_servers": ["https://login.example.com/a"],
        "scopes_supported": ["predict", "read", "manage"],
        "bearer_methods_supported": ["header"],
        "resource_documentation": "https://models.example.com/ml/docs",
    });
    assert_eq!(answer.body, expected);
    let url = format!(r#"resource_metadata="https://models.example.com/ml{PATH}""#);
    for path in ["/predict", "/mcp", "/v2/models/iris/infer"] {
        let bare = challenge(&gateway, path, None).await;
        assert_eq!(
            bare,
            (StatusCode::UNAUTHORIZED, format!(r#"Bearer realm="onnx-gateway", {url}"#)),
            "{path}"
        );
    }
    let (status, bad) = challenge(&gateway, "/predict", Some("a.b.c".to_owned())).await;
    assert!(
        status == StatusCode::UNAUTHORIZED && bad.contains("invalid_token") && bad.ends_with(&url),
        "{bad}"
    );
    let narrow = TokenBuilder::new().scope("read").build();
    let (status, lacking) = challenge(&gateway, "/predict", Some(narrow)).await;
    assert!(
        status == StatusCode::FORBIDDEN && lacking.contains("insufficient_scope") && lacking.ends_with(&url),
        "{lacking}"
    );
}

#[tokio::test]
async fn a_gateway_without_a_url_says_what_is_missing() {
    let gateway = TestGateway::start().await;
    let answer = metadata(&gateway).await;
    assert_eq!((answer.status, answer.problem_code()), (StatusCode::NOT_FOUND, "not_found"));
    assert!(answer.body["detail"].as_str().unwrap().contains("server.public_url"));
    let (_, bare) = challenge(&gateway, "/predict", None).await;
    assert_eq!(bare, r#"Bearer realm="onnx-gateway""#);
    gateway.reload(|settings| settings.server.public_url = Some("https://models.example.com".to_owned()));
    let answer = metadata(&gateway).await;
    assert_eq!(answer.body["resource"], "https://models.example.com");
    assert_eq!(answer.body.get("authorization_servers"), None::<&Value>, "there is no other issuer");
}
