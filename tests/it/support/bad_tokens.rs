//! Every token that is good but for one thing, by what that is.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::tokens::{SigningKey, TokenBuilder, now};

/// Name and token of each, made of a good one that this key signs.
pub fn all(key: &SigningKey, good: &TokenBuilder) -> Vec<(String, String)> {
    let mut bad = BadTokens { key, good, tokens: Vec::new() };
    headers(&mut bad);
    claims(&mut bad);
    claim_texts(&mut bad);
    forms(&mut bad);
    signatures(&mut bad);
    bad.tokens
}

struct BadTokens<'k> {
    key: &'k SigningKey,
    good: &'k TokenBuilder,
    tokens: Vec<(String, String)>,
}

impl BadTokens<'_> {
    fn add(&mut self, name: &str, token: String) {
        self.tokens.push((name.to_owned(), token));
    }
}

fn headers(bad: &mut BadTokens<'_>) {
    for algorithm in
        ["none", "None", "NONE", "nOnE", "hs256", "", "HS384", "HS512", "RS512", "PS256", "ES384"]
            .into_iter()
            .filter(|algorithm| *algorithm != bad.key.name)
    {
        let unsigned = bad.good.clone().header("alg", json!(algorithm));
        bad.add(&format!("alg {algorithm:?}, signed"), unsigned.build_with(bad.key));
        let parts = unsigned.build_with(bad.key);
        bad.add(
            &format!("alg {algorithm:?}, no signature"),
            format!("{}.", parts.rsplit_once('.').unwrap().0),
        );
    }
    bad.add("no alg", bad.good.clone().header("alg", Value::Null).build_with(bad.key));
    bad.add(
        "two algs",
        bad.key.sign_json(
            &format!(r#"{{"alg":"none","alg":"{}"}}"#, bad.key.name),
            &bad.good.claims.to_string(),
        ),
    );
    bad.add("unknown kid", bad.good.clone().header("kid", json!("other")).build_with(bad.key));
    for kid in ["../../../dev/null", "' OR 1=1--", "", "a b", "2026-11\u{0}"] {
        bad.add(&format!("kid {kid:?}"), bad.good.clone().header("kid", json!(kid)).build_with(bad.key));
    }
    bad.add("kid of 10 KB", bad.good.clone().header("kid", json!("k".repeat(10_000))).build_with(bad.key));
    bad.add("kid a number", bad.good.clone().header("kid", json!(7)).build_with(bad.key));
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        ("x5c", json!(["MIIB"])),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("application/json")),
        ("typ", json!("id_token")),
    ] {
        bad.add(&format!("header {name}"), bad.good.clone().header(name, value).build_with(bad.key));
    }
}

fn claims(bad: &mut BadTokens<'_>) {
    let times = now();
    for (name, claim, value) in [
        ("expired", "exp", json!(times - 31)),
        ("exp missing", "exp", Value::Null),
        ("exp a text", "exp", json!("2099-01-01")),
        ("exp negative", "exp", json!(-1)),
        ("exp an object", "exp", json!({})),
        ("exp absurd", "exp", json!(253_402_300_800_i64)),
        ("exp in two days", "exp", json!(times + 2 * 86_400)),
        ("nbf in the future", "nbf", json!(times + 60)),
        ("nbf a text", "nbf", json!("now")),
        ("iat in the future", "iat", json!(times + 60)),
        ("iat a text", "iat", json!("now")),
        ("iat ancient", "iat", json!(0)),
        ("aud wrong", "aud", json!("other")),
        ("aud a wrong list", "aud", json!(["other", "another"])),
        ("aud empty", "aud", json!([])),
        ("aud missing", "aud", Value::Null),
        ("aud a number", "aud", json!(1)),
        ("aud an object", "aud", json!({})),
        ("aud a list of a number", "aud", json!([1])),
        ("iss wrong", "iss", json!("other")),
        ("iss missing", "iss", Value::Null),
        ("iss a number", "iss", json!(1)),
        ("sub missing", "sub", Value::Null),
        ("sub empty", "sub", json!("")),
        ("sub of 10 KB", "sub", json!("s".repeat(5000))),
        ("sub with a line break", "sub", json!("a\nb")),
        ("sub a number", "sub", json!(1)),
        ("scope a list", "scope", json!(["predict"])),
    ] {
        bad.add(name, bad.good.clone().claim(claim, value).build_with(bad.key));
    }
}

fn claim_texts(bad: &mut BadTokens<'_>) {
    let header_text = bad.good.header.to_string();
    let claims_text = bad.good.claims.to_string();
    let replaced = |from: &str, to: &str| bad.key.sign_json(&header_text, &claims_text.replacen(from, to, 1));
    bad.add("exp null", replaced(r#""exp":"#, r#""exp":null,"was":"#));
    bad.add("exp beyond numbers", replaced(r#""exp":"#, r#""exp":1e400,"was":"#));
    bad.add("aud null", replaced(r#""aud":"#, r#""aud":null,"was":"#));
    bad.add("two subs", replaced(r#""sub":"#, r#""sub":"admin","sub":"#));
    bad.add("two scopes", replaced(r#""scope":"#, r#""scope":"manage","scope":"#));
    bad.add("two exps", replaced(r#""exp":"#, r#""exp":9999999999,"exp":"#));
    for (name, payload) in [
        ("claims a text", &b"hello"[..]),
        ("claims empty", b""),
        ("claims a list", b"[]"),
        ("claims null", b"null"),
        ("claims with a byte order mark", "\u{feff}{}".as_bytes()),
        ("claims not UTF-8", &[b'{', 0xff, b'}']),
        ("claims with more behind", b"{} {}"),
    ] {
        bad.add(name, bad.key.sign_bytes(header_text.as_bytes(), payload));
    }
}

fn forms(bad: &mut BadTokens<'_>) {
    let signed = bad.good.build_with(bad.key);
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    bad.add("padded", format!("{header}=.{claims}.{signature}"));
    bad.add("two parts", message.to_owned());
    bad.add("four parts", format!("{signed}.x"));
    bad.add("five parts", format!("{signed}.x.y"));
    bad.add("no parts", "c29tZXRoaW5n".to_owned());
}

fn signatures(bad: &mut BadTokens<'_>) {
    let signed = bad.good.build_with(bad.key);
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    bad.add("signature empty", format!("{message}."));
    bad.add("signature cut", format!("{message}.{}", &signature[..signature.len() - 4]));
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bad.add("signature in the other base64", format!("{message}.{}=", STANDARD.encode(&raw)));
    bad.add("signature all zeros", format!("{message}.{}", URL_SAFE_NO_PAD.encode(vec![0; raw.len()])));
    let other_claims =
        URL_SAFE_NO_PAD.encode(bad.good.clone().claim("sub", json!("admin")).claims.to_string());
    bad.add("claims of another", format!("{header}.{other_claims}.{signature}"));
    let stranger = match bad.key.name {
        "HS256" => SigningKey::secret("another-secret-of-more-than-32-bytes-7f1a2b3c4d5e6f"),
        name @ ("HS384" | "HS512") => {
            let other = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d";
            SigningKey::long_secret(bad.key.algorithm, name, other)
        }
        "ES256" => SigningKey::es256(),
        "ES384" => SigningKey::es384(),
        "EdDSA" => SigningKey::eddsa(),
        name => SigningKey::rsa(bad.key.algorithm, name),
    };
    bad.add("signed by another key", bad.good.build_with(&stranger));
    if !bad.key.public_pem.is_empty() {
        let confused = SigningKey::secret(&bad.key.public_pem);
        bad.add(
            "HS256 with the public key",
            bad.good.clone().header("alg", json!("HS256")).build_with(&confused),
        );
        let without = bad.good.clone().header("alg", json!("HS256")).header("kid", Value::Null);
        bad.add("HS256 with the public key, no kid", without.build_with(&confused));
    }
    let long = bad.good.clone().claim("filler", json!("x".repeat(9000))).build_with(bad.key);
    bad.add("9 KB", long);
}
