//! Settings of issuers: where the keys come from, and what is wrong with them.

use std::fs;

use onnx_gateway::{
    auth::Authentication,
    config::{Algorithm, AuthSettings, Environment, IssuerSettings, Problems, load},
};
use reqwest::StatusCode;
use serde_json::json;

use super::{gateway, status};
use crate::support::{
    binary::{run, text},
    issuer::{AUDIENCE, TestIssuer, jwk},
    table,
    tokens::SigningKey,
};

fn issuer(change: impl FnOnce(&mut IssuerSettings)) -> IssuerSettings {
    let mut settings = IssuerSettings {
        issuer: Some("https://login.example".to_owned()),
        audience: vec!["models".to_owned()],
        discovery: Some("true".to_owned()),
        ..IssuerSettings::default()
    };
    change(&mut settings);
    settings
}

/// What is said of an issuer that is called `a`.
fn refusal(settings: IssuerSettings) -> String {
    let settings = AuthSettings { issuers: [("a".to_owned(), settings)].into(), ..AuthSettings::default() };
    match Authentication::new(&settings, &|_| false) {
        Ok(_) => "accepted".to_owned(),
        Err(problems) => Problems(problems).to_string(),
    }
}

#[test]
fn an_issuer_alone_is_enough_to_start() {
    assert_eq!(refusal(issuer(|_| {})), "accepted");
    assert_eq!(
        refusal(issuer(|issuer| issuer.discovery = Some("http://127.0.0.1:8080/realms/a".to_owned()))),
        "accepted"
    );
}

#[test]
fn mistakes_are_named_with_their_setting() {
    let url = |text: &str| Some(text.to_owned());
    let jwks = |keys: serde_json::Value| Some(json!({"keys": keys}).to_string());
    let key = SigningKey::es256();
    let mut private = jwk("k", &key);
    private["d"] = json!("AAAA");
    let cases = [
        (issuer(|issuer| issuer.issuer = None), "a.issuer: is missing"),
        (
            issuer(|issuer| issuer.issuer = Some("onnx-gateway".to_owned())),
            "a.issuer: is the issuer of the gateway's own",
        ),
        (issuer(|issuer| issuer.audience = Vec::new()), "a.audience: is missing"),
        (
            issuer(|issuer| issuer.discovery = None),
            "a.discovery: is missing: set discovery = true, or jwks_url or jwks_file",
        ),
        (
            issuer(|issuer| issuer.jwks_url = url("https://login.example/keys")),
            "a.discovery: and `jwks_url` are both set",
        ),
        (
            issuer(|issuer| (issuer.discovery, issuer.jwks_url) = (None, url("http://login.example/keys"))),
            "a.jwks_url: begins with http://, which is for addresses of this machine only",
        ),
        (
            issuer(|issuer| (issuer.discovery, issuer.jwks_url) = (None, url("login.example/keys"))),
            "a.jwks_url: is not a URL such as https://HOST/PATH",
        ),
        (
            issuer(|issuer| issuer.issuer = Some("accounts".to_owned())),
            "a.discovery: is true, but the issuer `accounts` is not a URL",
        ),
        (
            issuer(|issuer| issuer.algorithms = vec![Algorithm::HS256]),
            "a.algorithms: has HS256, whose key is secret",
        ),
        (issuer(|issuer| issuer.algorithms = Vec::new()), "a.algorithms: is empty"),
        (issuer(|issuer| issuer.scope_claim = String::new()), "a.scope_claim: is empty"),
        (
            issuer(|issuer| {
                drop(
                    issuer.scopes.insert(
                        "x".to_owned(),
                        onnx_gateway::config::GrantedScopes(vec!["write".to_owned()]),
                    ),
                );
            }),
            "a.scopes.x: `write` is not a scope",
        ),
        (
            issuer(|issuer| {
                drop(issuer.required_claims.insert("x".to_owned(), std::iter::empty::<String>().collect()));
            }),
            "a.required_claims.x: is empty",
        ),
        (
            issuer(|issuer| (issuer.discovery, issuer.jwks) = (None, url("{}"))),
            "a.jwks_file: is not a JWK set",
        ),
        (
            issuer(|issuer| (issuer.discovery, issuer.jwks) = (None, jwks(json!([])))),
            "a.jwks_file: has no key that can be used",
        ),
        (
            issuer(|issuer| {
                (issuer.discovery, issuer.jwks) = (None, jwks(json!([jwk("good", &key), private])));
            }),
            "a.jwks_file: cannot be used: key `k` is a private key, which must not be published",
        ),
        (
            issuer(|issuer| {
                (issuer.discovery, issuer.jwks) =
                    (None, jwks(json!([jwk("good", &key), {"kty": "oct", "k": "AAAA"}])));
            }),
            "a.jwks_file: cannot be used: key 1 is a shared secret",
        ),
        (
            issuer(|issuer| {
                let keys = json!([jwk("good", &key), jwk("k", &key), jwk("k", &SigningKey::es256())]);
                (issuer.discovery, issuer.jwks) = (None, jwks(keys));
            }),
            "a.jwks_file: cannot be used: key `k` is there more than once",
        ),
    ];
    table::each(cases, |(settings, expected)| {
        let said = refusal(settings);
        assert!(said.contains(&format!("auth.issuers.{expected}")), "{said}: {expected}");
    });
    let two = [("a", issuer(|_| {})), ("b", issuer(|_| {}))].map(|(name, issuer)| (name.to_owned(), issuer));
    let settings = AuthSettings { issuers: two.into(), ..AuthSettings::default() };
    let said = Problems(Authentication::new(&settings, &|_| false).unwrap_err()).to_string();
    assert!(said.contains("auth.issuers.b.issuer: is that of another entry"), "{said}");
}

#[tokio::test]
async fn keys_may_be_in_the_settings() {
    let key = SigningKey::es256();
    let issuer = TestIssuer::start(&[]).await;
    let settings = IssuerSettings {
        discovery: None,
        jwks: Some(json!({"keys": [jwk("1", &key), {"kty": "unknown"}]}).to_string()),
        ..issuer.settings()
    };
    let gateway = gateway([("file", settings)]).start().await;
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::OK);
    let unknown = issuer.signed("2", &key);
    assert_eq!(status(&gateway, &unknown).await, StatusCode::UNAUTHORIZED);
    assert_eq!(issuer.fetches(), 0);
    // Changed keys are changed settings.
    let other = SigningKey::es256();
    let keys = json!({"keys": [jwk("1", &other)]}).to_string();
    let reloaded =
        gateway.reload(|settings| settings.auth.issuers.get_mut("file").unwrap().jwks = Some(keys));
    assert_eq!(reloaded.applied, ["auth.issuers.file.jwks"]);
    assert_eq!(status(&gateway, &issuer.signed("1", &key)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&gateway, &issuer.signed("1", &other)).await, StatusCode::OK);
}

#[test]
fn a_file_of_keys_is_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("gateway.toml");
    let keys = folder.path().join("keys.json");
    fs::write(&keys, json!({"keys": [jwk("1", &SigningKey::es256())]}).to_string()).unwrap();
    let written = format!(
        "[auth.issuers.login]\nissuer = 'https://login.example'\naudience = '{AUDIENCE}'\njwks_file = 'keys.json'\n\
         leeway_seconds = 5\nrequired_claims = {{ email_verified = true, 'x.y' = ['a', 'b'] }}\n\
         [auth.issuers.login.scopes]\n'ML/Admin' = ['manage']\nb = 'predict,read'\n"
    );
    fs::write(&settings, written).unwrap();
    let environment =
        Environment { working_directory: folder.path().to_path_buf(), ..Environment::default() };
    let loaded =
        load(std::slice::from_ref(&settings), &environment).unwrap_or_else(|problems| panic!("{problems}"));
    let issuer = &loaded.settings.auth.issuers["login"];
    assert_eq!(issuer.audience, [AUDIENCE]);
    assert!(issuer.jwks.as_ref().unwrap().contains("ES256"));
    let required: Vec<_> =
        issuer.required_claims.iter().map(|(name, values)| (name.as_str(), values.values())).collect();
    assert_eq!(
        required,
        [("email_verified", &["true".to_owned()][..]), ("x.y", &["a".to_owned(), "b".to_owned()])]
    );
    let scopes: Vec<_> =
        issuer.scopes.iter().map(|(value, scopes)| (value.as_str(), scopes.0.join("+"))).collect();
    assert_eq!(scopes, [("ML/Admin", "manage".to_owned()), ("b", "predict+read".to_owned())]);
    assert!(loaded.warnings.is_empty(), "keys are public: {:?}", loaded.warnings);
    fs::write(&keys, json!({"keys": [{"kty": "oct", "k": "AAAA"}]}).to_string()).unwrap();
    let output = run(&["check", "--config", "gateway.toml"], folder.path(), &[]);
    let said = text(&output.stderr);
    assert!(
        !output.status.success()
            && said.contains("auth.issuers.login.jwks_file: has no key that can be used"),
        "{said}"
    );
}

#[test]
fn a_check_says_what_it_cannot_know() {
    let folder = tempfile::tempdir().unwrap();
    let written = "[auth.issuers.login]\nissuer = 'https://login.example'\naudience = 'a'\ndiscovery = true\n\
                   [auth.issuers.other]\nissuer = 'other'\naudience = 'a'\njwks_url = 'https://other.example/keys'\n";
    fs::write(folder.path().join("gateway.toml"), written).unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    let output = run(&["check", "--config", "gateway.toml"], folder.path(), &[]);
    let said = text(&output.stdout);
    for (name, url) in [("login", "https://login.example"), ("other", "https://other.example/keys")] {
        let expected = format!("auth.issuers.{name}: its keys come from {url}, which a check does not fetch");
        assert!(said.contains(&expected), "{said}");
    }
    let output = run(&["check", "--json", "--config", "gateway.toml"], folder.path(), &[]);
    let document: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(document["unchecked"].as_array().map(Vec::len), Some(2), "{document}");
}
