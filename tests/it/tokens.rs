//! Who is let in: every kind of token that must be refused, with a shared secret and with each kind of key pair, and
//! how clients get tokens.

mod log_ins;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use onnx_gateway::config::{Algorithm, KeySettings, Secret};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, TestGateway, bad_tokens, setosa, table,
    tokens::{SigningKey, TokenBuilder, now},
};

async fn ask(gateway: &TestGateway, token: &str) -> Answer {
    let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token).json(&setosa());
    Answer::of(request.send().await.unwrap()).await
}

/// A gateway that believes this key only.
async fn gateway_with(key: &SigningKey) -> TestGateway {
    let (public, private, secret) = (key.public_pem.clone(), key.private_pem.clone(), key.secret.clone());
    let name = key.name.to_owned();
    let builder = TestGateway::builder();
    let builder = builder.settings(|settings| {
        if name == "HS256" {
            return;
        }
        settings.auth.signing_secret = None;
        let algorithm = Some(Algorithm::try_from(name).unwrap());
        let key = if secret.is_empty() {
            let private_key = Some(Secret::new(private));
            KeySettings { algorithm, public_key: Some(public), private_key, ..Default::default() }
        } else {
            KeySettings { algorithm, secret: Some(Secret::new(secret)), ..Default::default() }
        };
        settings.auth.keys.insert("2026-11".to_owned(), key);
    });
    builder.start().await
}

/// A good token for a gateway of [`gateway_with`].
fn good(key: &SigningKey) -> TokenBuilder {
    let builder = TokenBuilder::new().header("alg", json!(key.name));
    if key.name == "HS256" { builder } else { builder.header("kid", json!("2026-11")) }
}

async fn every_bad_token_is_refused_by(key: &SigningKey) {
    let gateway = gateway_with(key).await;
    let answer = ask(&gateway, &good(key).build_with(key)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}: {answer:?}", key.name);
    table::each_async(bad_tokens::all(key, &good(key)), async |(name, token)| {
        let answer = ask(&gateway, &token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}: {name}: {answer:?}", key.name);
        assert_eq!(answer.problem_code(), "invalid_token", "{name}");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm="), "{name}: {challenge}");
        assert!(challenge.contains(r#"error="invalid_token""#), "{name}: {challenge}");
        assert!(!answer.text.contains(&token), "{name}: the answer repeats the token");
    })
    .await;
    let answer = ask(&gateway, &good(key).build_with(key)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}: the gateway is none the worse for it", key.name);
}

#[tokio::test]
async fn bad_tokens_are_refused_with_a_shared_secret() {
    every_bad_token_is_refused_by(&SigningKey::shared_secret()).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_with_es256() {
    every_bad_token_is_refused_by(&SigningKey::es256()).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_with_longer_hashes() {
    use jsonwebtoken::Algorithm as Jwt;
    let secret = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let secrets = [(Jwt::HS384, "HS384"), (Jwt::HS512, "HS512")];
    let rsa = [
        (Jwt::RS384, "RS384"),
        (Jwt::RS512, "RS512"),
        (Jwt::PS256, "PS256"),
        (Jwt::PS384, "PS384"),
        (Jwt::PS512, "PS512"),
    ];
    let secrets = secrets.map(|(algorithm, name)| SigningKey::long_secret(algorithm, name, secret));
    let rsa = rsa.map(|(algorithm, name)| SigningKey::rsa(algorithm, name));
    for key in secrets.into_iter().chain(rsa).chain([SigningKey::es384()]) {
        every_bad_token_is_refused_by(&key).await;
    }
}

#[tokio::test]
async fn bad_tokens_are_refused_with_eddsa() {
    every_bad_token_is_refused_by(&SigningKey::eddsa()).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_with_rs256() {
    every_bad_token_is_refused_by(&SigningKey::rs256()).await;
}

#[tokio::test]
async fn tokens_may_differ_in_what_does_not_matter() {
    let gateway = TestGateway::start().await;
    let good = TokenBuilder::new();
    let cases = [
        ("typ at+jwt", good.clone().header("typ", json!("at+jwt"))),
        ("typ in full", good.clone().header("typ", json!("application/at+jwt"))),
        ("no typ", good.clone().header("typ", Value::Null)),
        ("several audiences", good.clone().claim("aud", json!(["other", "onnx-gateway"]))),
        ("just expired", good.clone().claim("exp", json!(now() - 20))),
        ("a little early", good.clone().claim("nbf", json!(now() + 20))),
        ("no iat", good.clone().claim("iat", Value::Null)),
        (
            "times with a fraction",
            good.clone().claim("exp", json!(format!("{}.5", now() + 60).parse::<f64>().unwrap())),
        ),
        ("claims of others", good.clone().claim("roles", json!({"a": [1]}))),
        ("scopes of others", good.clone().scope("openid predict profile")),
        ("a thumbprint", good.clone().header("x5t", json!("abc"))),
    ];
    table::each_async(cases, async |(name, token)| {
        let answer = ask(&gateway, &token.build()).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {answer:?}");
    })
    .await;
    let lower_case = format!("bearer {}", good.build());
    let request = gateway.client.post(gateway.url("/predict")).header(header::AUTHORIZATION, lower_case);
    assert_eq!(request.json(&setosa()).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_the_challenge_is_bare() {
    let gateway = TestGateway::start().await;
    let cases = [None, Some("Basic c2hvcDpzZWNyZXQ="), Some("Bearer"), Some("")];
    table::each_async(cases, async |authorization| {
        let mut request = gateway.client.post(gateway.url("/predict")).json(&setosa());
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (401, "no_token"), "{authorization:?}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="onnx-gateway""#);
    })
    .await;
}

#[tokio::test]
async fn two_tokens_are_no_token() {
    let gateway = TestGateway::start().await;
    let token = TokenBuilder::new().build();
    let two_headers = gateway.post("/predict").bearer_auth(&token);
    let mut two_headers = two_headers.json(&setosa()).build().unwrap();
    let value = header::HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    two_headers.headers_mut().append(header::AUTHORIZATION, value);
    let two_ways = gateway.post(&format!("/predict?access_token={token}")).json(&setosa()).build().unwrap();
    for request in [two_headers, two_ways] {
        let answer = Answer::of(gateway.client.execute(request).await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (400, "invalid_request"), "{answer:?}");
        assert!(answer.header("www-authenticate").contains(r#"error="invalid_request""#));
    }
}

#[tokio::test]
async fn time_passes_for_tokens() {
    let gateway = TestGateway::start().await;
    let token = TokenBuilder::new().build();
    assert_eq!(ask(&gateway, &token).await.status, StatusCode::OK);
    gateway.clock.advance(600 + 29);
    assert_eq!(ask(&gateway, &token).await.status, StatusCode::OK, "clocks may differ by 30 s");
    gateway.clock.advance(2);
    assert_eq!(ask(&gateway, &token).await.status, StatusCode::UNAUTHORIZED);
    gateway.clock.advance(-3600);
    assert_eq!(ask(&gateway, &token).await.status, StatusCode::UNAUTHORIZED, "issued in the future");
}

#[tokio::test]
async fn tokens_are_given_and_believed_by_a_clock_that_was_never_set() {
    let gateway = TestGateway::start().await;
    let credentials =
        [("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    // To 1969, and to the year 12000.
    for seconds in [-now() - 86_400, 10_000 * 365 * 86_400] {
        gateway.clock.advance(seconds);
        let answer = ask_token(&gateway, &credentials).await;
        assert_eq!(answer.status, StatusCode::OK, "{seconds}: {answer:?}");
        let token = answer.body["access_token"].as_str().unwrap().to_owned();
        assert_eq!(ask(&gateway, &token).await.status, StatusCode::OK, "{seconds}");
        assert_eq!(ask(&gateway, &token).await.status, StatusCode::OK, "{seconds}: as one that is known");
        assert_eq!(ask(&gateway, &TokenBuilder::new().build()).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn scopes_permit_what_they_say_and_no_more() {
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let line = json!({"features": [1, 2]});
    let cases = [
        ("predict", "/models/iris/predict", 200),
        ("predict:iris", "/models/iris/predict", 200),
        ("predict:iris", "/predict", 200),
        ("predict:line", "/predict", 403),
        ("predict:iris", "/models/line/predict", 403),
        ("predict:iris", "/models/unknown/predict", 403),
        ("read manage", "/predict", 403),
        ("", "/predict", 403),
        ("read", "/models", 200),
        ("read:line", "/models", 200),
        ("predict", "/models", 403),
        ("read:line", "/models/iris", 403),
        ("read:iris", "/models/iris", 200),
    ];
    table::each_async(cases, async |(scope, path, status)| {
        let token = TokenBuilder::new().scope(scope).build();
        let request = if path.ends_with("predict") {
            let body = if path.contains("line") { &line } else { &setosa() };
            gateway.client.post(gateway.url(path)).json(body)
        } else {
            gateway.client.get(gateway.url(path))
        };
        let answer = Answer::of(request.bearer_auth(token).send().await.unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{scope} at {path}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.problem_code(), "insufficient_scope");
            assert!(answer.header("www-authenticate").contains(r#"error="insufficient_scope""#));
        }
    })
    .await;
    let token = TokenBuilder::new().scope("read:line").build();
    let list = gateway.client.get(gateway.url("/models")).bearer_auth(token).send().await.unwrap();
    let names: Vec<Value> = Answer::of(list).await.body["models"].as_array().unwrap().clone();
    assert_eq!(names.iter().map(|model| &model["name"]).collect::<Vec<_>>(), ["line"]);
}

#[tokio::test]
async fn keys_stand_side_by_side_each_for_its_algorithm() {
    let (es256, eddsa) = (SigningKey::es256(), SigningKey::eddsa());
    let jwk_x = {
        let der = STANDARD
            .decode(eddsa.public_pem.lines().filter(|line| !line.starts_with('-')).collect::<String>());
        let der = der.unwrap();
        URL_SAFE_NO_PAD.encode(&der[der.len() - 32..])
    };
    let pem = es256.public_pem.clone();
    let gateway = TestGateway::builder()
        .settings(|settings| {
            let key = |algorithm| KeySettings { algorithm: Some(algorithm), ..KeySettings::default() };
            let es256 = KeySettings { public_key: Some(pem), ..key(Algorithm::ES256) };
            let jwk =
                json!({"kty": "OKP", "crv": "Ed25519", "x": jwk_x, "use": "sig", "kid": "b"}).to_string();
            let eddsa = KeySettings { jwk: Some(jwk), ..key(Algorithm::EdDSA) };
            let old = Secret::new("the-secret-before-this-one-8f1e2479a8c6b0d9".to_owned());
            let old = KeySettings { secret: Some(old), ..key(Algorithm::HS256) };
            settings.auth.keys =
                [("a".to_owned(), es256), ("b".to_owned(), eddsa), ("old".to_owned(), old)].into();
        })
        .start()
        .await;
    let old = SigningKey::secret("the-secret-before-this-one-8f1e2479a8c6b0d9");
    let token = |key: &SigningKey, kid: Value| {
        TokenBuilder::new().header("alg", json!(key.name)).header("kid", kid).build_with(key)
    };
    let cases = [
        ("ES256 by its id", token(&es256, json!("a")), 200),
        ("EdDSA by its id", token(&eddsa, json!("b")), 200),
        ("ES256 without an id", token(&es256, Value::Null), 200),
        ("the secret before, without an id", token(&old, Value::Null), 200),
        ("the secret before, by its id", token(&old, json!("old")), 200),
        ("the secret now", TokenBuilder::new().build(), 200),
        ("ES256 under the id of EdDSA", token(&es256, json!("b")), 401),
        ("EdDSA under the id of ES256", token(&eddsa, json!("a")), 401),
        (
            "the secret now under the id of the one before",
            token(&SigningKey::shared_secret(), json!("old")),
            401,
        ),
    ];
    table::each_async(cases, async |(name, token, status)| {
        assert_eq!(ask(&gateway, &token).await.status.as_u16(), status, "{name}");
    })
    .await;
}

async fn ask_token(gateway: &TestGateway, form: &[(&str, &str)]) -> Answer {
    Answer::of(gateway.client.post(gateway.url("/token")).form(form).send().await.unwrap()).await
}

#[tokio::test]
async fn clients_get_tokens_as_a_form_as_json_and_by_basic_authentication() {
    let gateway = TestGateway::start().await;
    let url = gateway.url("/token");
    let credentials =
        json!({"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
    let form = gateway.client.post(&url).form(&credentials);
    let as_json = gateway.client.post(&url).json(&credentials);
    let basic = gateway.client.post(&url).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let basic = basic.form(&[("grant_type", "client_credentials")]);
    let encoded = gateway.client.post(&url).basic_auth("sh%6Fp", Some(CLIENT_SECRET.replace(' ', "+")));
    let encoded = encoded.form(&[("grant_type", "client_credentials")]);
    table::each_async([form, as_json, basic, encoded], async |request| {
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.body["token_type"], "bearer");
        assert_eq!(answer.body["expires_in"], 3600);
        assert_eq!(answer.body["scope"], "predict read");
        assert_eq!(answer.header("cache-control"), "no-store");
        let token = answer.body["access_token"].as_str().unwrap();
        assert_eq!(ask(&gateway, token).await.status, StatusCode::OK);
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap())
                .unwrap();
        assert_eq!(header["typ"], "at+jwt", "RFC 9068");
    })
    .await;
}

#[tokio::test]
async fn a_client_may_ask_for_less_but_not_for_more() {
    let gateway = TestGateway::start().await;
    let ask_for = |scope: &'static str| {
        let credentials = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", scope),
        ];
        let gateway = &gateway;
        async move { ask_token(gateway, &credentials).await }
    };
    assert_eq!(ask_for("predict:iris").await.body["scope"], "predict:iris");
    for scope in ["manage", "predict manage", "everything"] {
        let answer = ask_for(scope).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["error"]),
            (400, &json!("invalid_scope")),
            "{scope}"
        );
    }
}

#[tokio::test]
async fn requests_for_tokens_that_are_refused() {
    let gateway = TestGateway::start().await;
    let grant = ("grant_type", "client_credentials");
    let long = "x".repeat(2000);
    let wrong = ask_token(&gateway, &[grant, ("client_id", CLIENT_ID), ("client_secret", "wrong")]).await;
    let unknown = ask_token(&gateway, &[grant, ("client_id", "nobody"), ("client_secret", "wrong")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.text, unknown.text, "an unknown client and a wrong secret look alike");
    assert_eq!(wrong.body["error"], "invalid_client");
    assert_eq!(wrong.header("www-authenticate"), r#"Basic realm="onnx-gateway""#);

    let cases = [
        (vec![("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)], "invalid_request"),
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![grant], "invalid_request"),
        (vec![grant, ("client_id", CLIENT_ID)], "invalid_request"),
        (vec![grant, grant], "invalid_request"),
        (vec![grant, ("client_id", &long), ("client_secret", "x")], "invalid_request"),
    ];
    table::each_async(cases, async |(form, error)| {
        let answer = ask_token(&gateway, &form).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]), (400, &json!(error)), "{form:?}");
    })
    .await;
    let request = gateway.client.post(gateway.url("/token"));
    let plain = request.header("content-type", "text/plain").body("grant_type=client_credentials");
    assert_eq!(Answer::of(plain.send().await.unwrap()).await.problem_code(), "unsupported_media_type");
    let twice = gateway.client.post(gateway.url("/token")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let twice = twice.form(&[grant, ("client_secret", CLIENT_SECRET)]);
    assert_eq!(Answer::of(twice.send().await.unwrap()).await.body["error"], "invalid_request");
}

#[tokio::test]
async fn without_clients_there_are_no_tokens() {
    let gateway = TestGateway::builder().settings(|settings| settings.auth.clients.clear()).start().await;
    let answer = ask_token(&gateway, &[("grant_type", "client_credentials")]).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (404, "token_disabled"));
    // No response leads there either.
    let without = async |gateway: &TestGateway| {
        let answer = Answer::of(gateway.client.get(gateway.url("/models")).send().await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (401, "no_token"));
        answer.body["detail"].as_str().unwrap().to_owned()
    };
    let told = without(&gateway).await;
    assert!(told.contains("the output of `serve FILE`") && !told.contains("ask /token"), "{told}");
    let told = without(&TestGateway::start().await).await;
    assert!(told.contains("ask /token for one"), "{told}");
}

#[tokio::test]
async fn authentication_can_be_switched_off() {
    let gateway = TestGateway::builder().settings(|settings| settings.auth.enabled = false).start().await;
    let request = gateway.client.post(gateway.url("/predict")).json(&setosa());
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}
