//! Headers and claims that are signed: what is accepted obeys the rules of the documents.

use std::{
    str,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use onnx_gateway::{
    auth::Authentication,
    config::{AuthSettings, Secret},
};
use serde_json::{Value, json};

use super::token::SECRET;

/// Longest subject in bytes.
const MAX_SUBJECT_BYTES: usize = 256;

static GATEWAY: LazyLock<Authentication> = LazyLock::new(|| {
    let signing_secret = Some(Secret::new(SECRET.to_owned()));
    let settings = AuthSettings { signing_secret, ..AuthSettings::default() };
    Authentication::new(&settings, &|_| false).expect("the settings are good")
});

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Signs the bytes, a header and claims with a line feed between them, and verifies the token.
pub fn run(data: &[u8]) {
    let Some(line) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (header, claims) = (&data[..line], &data[line + 1..]);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = sign(message.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    let token = format!("{message}.{signature}");
    let verified = GATEWAY.verify(&token, SystemTime::now()).now_or_never();
    let Ok(caller) = verified.expect("it waits for no issuer") else { return };
    let shown = String::from_utf8_lossy(data);
    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    let claims: Value = serde_json::from_slice(claims).expect("accepted claims are JSON");
    assert_eq!(header["alg"], "HS256", "{shown}");
    for parameter in ["jku", "jwk", "x5u", "x5c", "crit", "zip", "cty"] {
        assert!(header[parameter].is_null(), "{parameter} was accepted: {shown}");
    }
    assert_eq!(claims["iss"], "onnx-gateway", "{shown}");
    let is_meant = |audience: &Value| audience == "onnx-gateway";
    let audiences = claims["aud"].as_array();
    assert!(is_meant(&claims["aud"]) || audiences.is_some_and(|all| all.iter().any(is_meant)), "{shown}");
    let subject = claims["sub"].as_str().expect("an accepted subject is text");
    assert_eq!(caller.subject, subject, "{shown}");
    let fits = (1..=MAX_SUBJECT_BYTES).contains(&subject.len());
    assert!(fits && !subject.chars().any(char::is_control), "{shown}");
    // The leeway is 30 seconds, the longest lifetime a day.
    let expiry = claims["exp"].as_f64().expect("an accepted expiry is a number");
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
    let now = now() as f64;
    assert!(expiry + 31.0 > now && expiry < now + 2.0 * 86_400.0, "{shown}");
}

/// Returns good headers and claims, and some that are not.
pub fn seeds() -> Vec<Vec<u8>> {
    let header = json!({"alg": "HS256", "typ": "at+jwt"});
    let good = json!({
        "iss": "onnx-gateway", "aud": ["onnx-gateway", "another"], "sub": "shop",
        "iat": now(), "nbf": now(), "exp": now() + 600, "scope": "predict:iris read", "jti": "a",
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let claims = [
        good.clone(),
        with("aud", json!("onnx-gateway")),
        with("aud", json!({})),
        with("exp", json!(now() - 600)),
        with("exp", json!(1e300)),
        with("nbf", json!(now() + 600)),
        with("sub", json!("")),
        with("scope", json!(["predict"])),
        json!([]),
    ];
    let headers = [
        header.clone(),
        json!({"alg": "none"}),
        json!({"alg": "HS256", "kid": "../key", "jku": "https://example.com"}),
    ];
    let seeds = claims.iter().map(|claims| format!("{header}\n{claims}"));
    seeds.chain(headers.iter().map(|header| format!("{header}\n{good}"))).map(String::into_bytes).collect()
}
