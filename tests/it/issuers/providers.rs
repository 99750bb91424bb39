//! Tokens as four identity providers shape them, with the settings that are documented for each.

use onnx_gateway::config::{Environment, IssuerSettings, load};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{gateway, status};
use crate::support::{
    issuer::jwk,
    repository::source_tree,
    tokens::{SigningKey, now},
};

/// The issuer of a sample file, with the keys of a test in the place of those that it would fetch.
fn sample(provider: &str, key: &SigningKey) -> IssuerSettings {
    let file = source_tree().join(format!("config/issuers/{provider}.toml"));
    let loaded = load(&[file], &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let issuer = loaded.settings.auth.issuers[provider].clone();
    assert_eq!(issuer.discovery.as_deref(), Some("true"), "{provider}");
    // Entra and others publish keys without `alg`.
    let mut published = jwk("the-key", key);
    published.as_object_mut().unwrap().remove("alg");
    IssuerSettings { discovery: None, jwks: Some(json!({"keys": [published]}).to_string()), ..issuer }
}

/// A token, with what a provider writes into each one.
fn token(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["iat"] = json!(now());
    claims["exp"] = json!(now() + 3600);
    key.sign_json(&header.to_string(), &claims.to_string())
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// Asks for a prediction, and for a rollback, which needs `manage`.
async fn permitted(provider: &str, header: &Value, cases: Vec<(&str, Value, StatusCode, StatusCode)>) {
    let key = SigningKey::rs256();
    let gateway = gateway([(provider, sample(provider, &key))]).start().await;
    for (case, claims, prediction, rollback) in cases {
        let token = token(&key, header, &claims);
        assert_eq!(status(&gateway, &token).await, prediction, "{provider}, {case}: prediction");
        let request = gateway.client.post(gateway.url("/models/iris/rollback")).bearer_auth(&token);
        assert_eq!(request.send().await.unwrap().status(), rollback, "{provider}, {case}: rollback");
    }
}

const OK: StatusCode = StatusCode::OK;
const NO: StatusCode = StatusCode::FORBIDDEN;
const BAD: StatusCode = StatusCode::UNAUTHORIZED;
/// There is nothing to roll back to, but it would be permitted.
const MAY: StatusCode = StatusCode::CONFLICT;

#[tokio::test]
async fn auth0() {
    let user = json!({
        "iss": "https://example.eu.auth0.com/",
        "sub": "auth0|6553da60a54af58e29493993",
        "aud": ["https://models.example.com", "https://example.eu.auth0.com/userinfo"],
        "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "scope": "openid profile email",
        "permissions": ["predict"],
        "https://example.com/roles": ["analyst"],
    });
    let machine = json!({
        "iss": "https://example.eu.auth0.com/",
        "sub": "awZfdIir8YFdGZWkvCejDoUb7SjTDicx@clients",
        "aud": "https://models.example.com",
        "client_id": "awZfdIir8YFdGZWkvCejDoUb7SjTDicx",
        "jti": "73WakrfVbNJBaAmhQtEeDv",
        "gty": "client-credentials",
        "permissions": ["predict", "manage"],
    });
    let cases = vec![
        ("a user", user.clone(), OK, NO),
        ("a user without permissions", with(user.clone(), "permissions", json!([])), NO, NO),
        ("another API", with(user, "aud", json!("https://example.eu.auth0.com/userinfo")), BAD, BAD),
    ];
    permitted("auth0", &json!({"alg": "RS256", "typ": "JWT", "kid": "the-key"}), cases).await;
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "the-key"});
    permitted("auth0", &header, vec![("a machine, RFC 9068", machine, OK, MAY)]).await;
}

#[tokio::test]
async fn keycloak() {
    let token = json!({
        "iss": "https://login.example.com/realms/models",
        "jti": "trrtcc:d58f5dc8-fd8f-462b-8a19-716f8f83985b",
        "aud": ["onnx-gateway", "account"],
        "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da",
        "typ": "Bearer",
        "azp": "shop",
        "sid": "2a88c258-f73a-4103-b862-e1fbd8f4e04e",
        "acr": "1",
        "allowed-origins": ["https://shop.example.com"],
        "realm_access": {"roles": ["offline_access", "predictor", "default-roles-models"]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "scope": "email profile",
        "email_verified": true,
        "preferred_username": "ada",
    });
    let cases = vec![
        ("a predictor", token.clone(), OK, NO),
        ("an administrator", with(token.clone(), "realm_access", json!({"roles": ["ml-admin"]})), OK, MAY),
        ("no role", with(token.clone(), "realm_access", Value::Null), NO, NO),
        ("without the audience mapper", with(token.clone(), "aud", json!("account")), BAD, BAD),
        ("a refresh token", with(token.clone(), "typ", json!("Refresh")), BAD, BAD),
        ("another realm", with(token, "iss", json!("https://login.example.com/realms/other")), BAD, BAD),
    ];
    permitted("keycloak", &json!({"alg": "RS256", "typ": "JWT", "kid": "the-key"}), cases).await;
}

#[tokio::test]
async fn roles_of_a_keycloak_client() {
    let key = SigningKey::rs256();
    let mut settings = sample("keycloak", &key);
    settings.scope_claim = "resource_access.onnx-gateway.roles".to_owned();
    let gateway = gateway([("keycloak", settings)]).start().await;
    let claims = json!({
        "iss": "https://login.example.com/realms/models", "aud": "onnx-gateway", "sub": "ada", "typ": "Bearer",
        "resource_access": {"onnx-gateway": {"roles": ["predictor"]}, "account": {"roles": ["view-profile"]}},
    });
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "the-key"});
    assert_eq!(status(&gateway, &token(&key, &header, &claims)).await, OK);
    let elsewhere = with(claims, "resource_access", json!({"account": {"roles": ["predictor"]}}));
    assert_eq!(status(&gateway, &token(&key, &header, &elsewhere)).await, NO);
}

#[tokio::test]
async fn entra() {
    let application = json!({
        "iss": "https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47/v2.0",
        "aud": "6e74172b-0000-4000-8000-ce333239e60b",
        "nbf": now(),
        "aio": "E2ZgYDh0SWnhj5nC",
        "azp": "0b1cbd2d-0000-4000-8000-5a5e6f6a6b6c",
        "azpacr": "1",
        "idtyp": "app",
        "oid": "a1a1a1a1-0000-4000-8000-b2b2b2b2b2b2",
        "rh": "0.AAAA",
        "roles": ["Models.Predict"],
        "sub": "a1a1a1a1-0000-4000-8000-b2b2b2b2b2b2",
        "tid": "72f988bf-0000-4000-8000-2d7cd011db47",
        "uti": "cJCGX0B0qEyX",
        "ver": "2.0",
    });
    let cases = vec![
        ("an application", application.clone(), OK, NO),
        (
            "two roles",
            with(application.clone(), "roles", json!(["Models.Predict", "Models.Manage"])),
            OK,
            MAY,
        ),
        ("no role", with(application.clone(), "roles", Value::Null), NO, NO),
        (
            "another tenant",
            with(application.clone(), "iss", json!("https://login.microsoftonline.com/other/v2.0")),
            BAD,
            BAD,
        ),
        (
            "another application",
            with(application, "aud", json!("00000003-0000-0000-c000-000000000000")),
            BAD,
            BAD,
        ),
    ];
    // The thumbprint of the certificate names no key here; it is only there.
    permitted("entra", &json!({"alg": "RS256", "typ": "JWT", "kid": "the-key", "x5t": "the-key"}), cases)
        .await;
}

#[tokio::test]
async fn scopes_of_an_entra_user_and_tokens_of_version_1() {
    let key = SigningKey::rs256();
    let mut settings = sample("entra", &key);
    settings.scope_claim = "scp".to_owned();
    settings.issuer = Some("https://sts.windows.net/72f988bf-0000-4000-8000-2d7cd011db47/".to_owned());
    settings.audience = vec!["api://6e74172b-0000-4000-8000-ce333239e60b".to_owned()];
    let gateway = gateway([("entra", settings)]).start().await;
    let claims = json!({
        "iss": "https://sts.windows.net/72f988bf-0000-4000-8000-2d7cd011db47/",
        "aud": "api://6e74172b-0000-4000-8000-ce333239e60b",
        "appid": "0b1cbd2d-0000-4000-8000-5a5e6f6a6b6c",
        "scp": "Models.Predict User.Read",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "tid": "72f988bf-0000-4000-8000-2d7cd011db47",
        "unique_name": "ada@example.com",
        "ver": "1.0",
    });
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "the-key", "x5t": "the-key"});
    assert_eq!(status(&gateway, &token(&key, &header, &claims)).await, OK);
}

#[tokio::test]
async fn cognito() {
    let user = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["analysts"],
        "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example",
        "version": 2,
        "client_id": "7a1b2c3d4e5f6g7h8i9j0k1l2m",
        "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "token_use": "access",
        "scope": "openid models/predict",
        "auth_time": now(),
        "jti": "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee",
        "username": "ada",
    });
    let cases = vec![
        ("a user", user.clone(), OK, NO),
        ("more scopes", with(user.clone(), "scope", json!("models/predict models/manage")), OK, MAY),
        ("another client", with(user.clone(), "client_id", json!("another")), BAD, BAD),
        (
            "an id token",
            with(with(user.clone(), "token_use", json!("id")), "aud", user["client_id"].clone()),
            BAD,
            BAD,
        ),
        (
            "another pool",
            with(user, "iss", json!("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other")),
            BAD,
            BAD,
        ),
    ];
    // The header has neither a type nor anything else.
    permitted("cognito", &json!({"kid": "the-key", "alg": "RS256"}), cases).await;
}
