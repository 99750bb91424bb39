//! Keys that are not what they claim to be are refused at the start, by their setting and with the reason.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use num_bigint::BigUint;
use onnx_gateway::{
    auth::Authentication,
    config::{Algorithm, AuthSettings, KeySettings, Problems, Secret},
};
use serde_json::{Value, json};

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, TestGateway, table,
    tokens::{SECRET, SigningKey},
};

/// Too short since 2014 (RFC 7518 section 3.3).
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDF70HOdz9Po2n1Fxlxaidc1h9H
FeZwZXjFc+nIeoVaDDTT8iEIABlGHo+3tKrnKlRxkdW3uzuDF1wDLM12O2M8Mo1A
yNEXdkjt0TX+RvbNKY3PZcxdseOU7OvRJaH/1+7V+KfzflwXLiUVtH8SqoqtHqkt
U8DzfQthX/K4Fps6nwIDAQAB
-----END PUBLIC KEY-----
";

/// A good key of another curve.
const P_384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE9YYZ25dC/+5C+QWcTSDEsf6hSJve4VwP
c7NIqaQBN2hKsn4L1djc0mz2a2EfJ8NblIVyb1gjIYMeotG2ytkmnQLZQ7G6pCF2
zjhCX8fS1XYKmDqYq1w+4eM+K9wBy6vz
-----END PUBLIC KEY-----
";

/// The example of RFC 8037 appendix A.2.
fn ed25519_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn key(algorithm: Algorithm) -> KeySettings {
    KeySettings { algorithm: Some(algorithm), ..KeySettings::default() }
}

fn pem(algorithm: Algorithm, pem: &str) -> KeySettings {
    KeySettings { public_key: Some(pem.to_owned()), ..key(algorithm) }
}

fn jwk(algorithm: Algorithm, jwk: &Value) -> KeySettings {
    KeySettings { jwk: Some(jwk.to_string()), ..key(algorithm) }
}

fn base64(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A public key with this modulus, whoever could have made it.
fn rsa_of(modulus: &[u8]) -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus)})
}

/// Such a key in the form of PEM files (RFC 8017 appendix A.1.1), for moduli of 256 bytes.
fn rsa_pem(modulus: &[u8]) -> String {
    assert_eq!((modulus.len(), modulus[0] & 0x80), (256, 0x80), "the lengths below are of such");
    let numbers = [&[0x02, 0x82, 0x01, 0x01, 0x00][..], modulus, &[0x02, 0x03, 0x01, 0x00, 0x01]].concat();
    let key = [&[0x30, 0x82, 0x01, 0x0a][..], &numbers].concat();
    crate::support::tokens::pem("RSA PUBLIC KEY", &key)
}

/// A number of 2048 bits that is a power of 65537 modulo all primes up to 167, as products of keys of the ROCA kind are
/// (CVE-2017-15361). Nobody has its factors.
fn roca_modulus() -> Vec<u8> {
    let is_prime = |number: &u32| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
    let product = (2..=167).filter(is_prime).fold(BigUint::from(1_u32), |product, prime| product * prime);
    let residue = BigUint::from(65_537_u32).modpow(&1234_u32.into(), &product);
    let mut modulus = BigUint::from(0b11_u32) << 2046_u32;
    modulus /= &product;
    modulus *= &product;
    modulus += residue;
    modulus.to_bytes_be()
}

/// What is said of one key under the id `k`.
fn refusal(key: KeySettings) -> String {
    let settings = AuthSettings { keys: [("k".to_owned(), key)].into(), ..AuthSettings::default() };
    match Authentication::new(&settings, &|_| false) {
        Ok(_) => "accepted".to_owned(),
        Err(problems) => Problems(problems).to_string(),
    }
}

#[test]
fn good_keys_are_accepted() {
    let es256 = SigningKey::es256();
    let jwk_of_verifier = with(with(ed25519_jwk(), "use", json!("sig")), "key_ops", json!(["verify"]));
    let named = with(with(jwk_of_verifier, "alg", json!("EdDSA")), "kid", json!("k"));
    let cases = [
        ("ES256", pem(Algorithm::ES256, &es256.public_pem)),
        ("EdDSA", pem(Algorithm::EdDSA, &SigningKey::eddsa().public_pem)),
        ("RS256", pem(Algorithm::RS256, &SigningKey::rs256().public_pem)),
        ("PS384", pem(Algorithm::PS384, &SigningKey::rs256().public_pem)),
        ("ES384", pem(Algorithm::ES384, &SigningKey::es384().public_pem)),
        ("JWK", jwk(Algorithm::EdDSA, &ed25519_jwk())),
        ("JWK with all it may say", jwk(Algorithm::EdDSA, &named)),
        ("HS256", KeySettings { secret: Some(Secret::new(SECRET.to_owned())), ..key(Algorithm::HS256) }),
        (
            "HS256 of bytes",
            KeySettings {
                secret_base64: Some(base64("_x6KgvO8WT-qFUwy5ghDaFN-ETuM3YLZyd7n0AEo5mA")),
                ..key(Algorithm::HS256)
            },
        ),
    ];
    table::each(cases, |(name, key)| {
        assert_eq!(refusal(key), "accepted", "{name}");
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of it is a table")]
fn bad_keys_are_refused_with_the_reason() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS512, RS256};
    let (one, other) = (SigningKey::es256(), SigningKey::es256());
    let rsa_1024 = json!({"kty": "RSA", "e": "AQAB", "n": "AL".to_owned() + &"x".repeat(170)});
    let secret = |text: &str| KeySettings { secret: Some(Secret::new(text.to_owned())), ..key(HS256) };
    let cases = [
        ("no algorithm", KeySettings::default(), "k.algorithm: is missing"),
        ("no key", key(ES256), "k.public_key: is missing"),
        ("no secret", key(HS256), "k.secret: is missing"),
        ("a weak secret", secret("short"), "k.secret: has 5 bytes"),
        (
            "a secret shorter than its hash",
            KeySettings { algorithm: Some(HS512), ..secret(SECRET) },
            "k.secret: has 48 bytes, an HS512 key needs at least 64: openssl rand -hex 64",
        ),
        (
            "RSA of 1024 bits",
            pem(RS256, RSA_1024),
            "k.public_key: has 1024 bits, RSA keys need at least 2048",
        ),
        ("RSA of 1024 bits as JWK", jwk(RS256, &rsa_1024), "k.jwk: has 10"),
        ("the other curve", pem(ES384, &one.public_pem), "k.public_key: is not a public key for P-384"),
        ("another curve", pem(ES256, P_384), "k.public_key: is not a public key for P-256"),
        ("another type", pem(EdDSA, &one.public_pem), "k.public_key: is not a public key for EdDSA"),
        ("no PEM", pem(RS256, "hello"), "k.public_key: is not a public key for RS256"),
        ("a private key as the public one", pem(ES256, &one.private_pem), "k.public_key: is a private key"),
        (
            "JWK that is no JSON",
            KeySettings { jwk: Some("{".to_owned()), ..key(ES256) },
            "k.jwk: is not JSON",
        ),
        ("a set of JWKs", jwk(ES256, &json!({"keys": []})), "k.jwk: is a set of keys"),
        ("a private JWK", jwk(EdDSA, &with(ed25519_jwk(), "d", json!("x"))), "k.jwk: holds a private key"),
        ("a secret JWK", jwk(ES256, &json!({"kty": "oct", "k": "AAAA"})), "k.jwk: holds a shared secret"),
        ("a JWK to encrypt", jwk(EdDSA, &with(ed25519_jwk(), "use", json!("enc"))), "`use` is not `sig`"),
        ("a JWK to sign", jwk(EdDSA, &with(ed25519_jwk(), "key_ops", json!(["sign"]))), "lacks `verify`"),
        ("a JWK of another id", jwk(EdDSA, &with(ed25519_jwk(), "kid", json!("x"))), "has the kid `x`"),
        ("a JWK for another algorithm", jwk(EdDSA, &with(ed25519_jwk(), "alg", json!("ES256"))), "not EdDSA"),
        (
            "a point of small order",
            jwk(EdDSA, &with(ed25519_jwk(), "x", json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))),
            "k.jwk: is a point of small order",
        ),
        (
            "a private part in a JWK",
            jwk(RS256, &with(rsa_1024.clone(), "p", json!("AQAB"))),
            "holds a private key",
        ),
        (
            "an RSA exponent of 1",
            jwk(RS256, &with(rsa_1024.clone(), "e", json!("AQ"))),
            "is not an RSA public key",
        ),
        ("a JWK of another curve", jwk(EdDSA, &with(ed25519_jwk(), "crv", json!("X25519"))), "k.jwk: is"),
        ("a JWK of another type", jwk(ES256, &ed25519_jwk()), "another type or curve than ES256"),
        (
            "two public keys",
            KeySettings {
                jwk: Some(ed25519_jwk().to_string()),
                ..pem(EdDSA, &SigningKey::eddsa().public_pem)
            },
            "and `public_key` are both set",
        ),
        (
            "the private key of another",
            KeySettings { private_key: Some(Secret::new(other.private_pem)), ..pem(ES256, &one.public_pem) },
            "a token signed with the gateway's own key is not valid",
        ),
        (
            "a secret with a key pair, as base64",
            KeySettings { secret_base64: Some(base64("AAAA")), ..pem(ES256, &one.public_pem) },
            "k.secret_base64: cannot be used with ES256",
        ),
        (
            "a secret that is not base64",
            KeySettings { secret_base64: Some(base64("a secret, not base64")), ..key(HS256) },
            "k.secret_base64: is not base64",
        ),
        (
            "a weak secret as base64",
            KeySettings { secret_base64: Some(base64("/////w==")), ..key(HS256) },
            "k.secret_base64: has 4 bytes",
        ),
        (
            "a secret in two ways",
            KeySettings { secret_base64: Some(base64("AAAA")), ..secret(SECRET) },
            "k.secret_base64: and `secret` are both set",
        ),
        (
            "RSA of the ROCA kind",
            jwk(RS256, &rsa_of(&roca_modulus())),
            "k.jwk: can be broken: its modulus is",
        ),
        (
            "RSA of the ROCA kind as PEM",
            pem(RS256, &rsa_pem(&roca_modulus())),
            "k.public_key: can be broken: its modulus is",
        ),
        ("RSA with a small factor", jwk(RS256, &rsa_of(&vec![0xff; 256])), "is divisible by 3"),
        ("RSA with a small factor as PEM", pem(RS256, &rsa_pem(&vec![0xff; 256])), "is divisible by 3"),
        (
            "a secret with a key pair",
            KeySettings { secret: Some(Secret::new(SECRET.to_owned())), ..pem(ES256, &one.public_pem) },
            "k.secret: cannot be used with ES256",
        ),
    ];
    table::each(cases, |(name, key, said)| {
        let refusal = refusal(key);
        assert!(refusal.contains(said), "{name}: no `{said}` in: {refusal}");
    });
}

#[test]
fn which_key_signs_must_be_clear() {
    let signing = |pair: &SigningKey| KeySettings {
        private_key: Some(Secret::new(pair.private_pem.clone())),
        ..pem(Algorithm::ES256, &pair.public_pem)
    };
    let (one, other) = (SigningKey::es256(), SigningKey::es256());
    let keys = [("one".to_owned(), signing(&one)), ("other".to_owned(), signing(&other))].into();
    let mut settings = AuthSettings { keys, ..AuthSettings::default() };
    let said = |settings: &AuthSettings| {
        Authentication::new(settings, &|_| false).map(drop).map_err(|problems| problems[0].to_string())
    };
    assert_eq!(
        said(&settings),
        Err("auth.signing_key: is missing: several keys could sign, name one".to_owned())
    );
    settings.signing_key = Some("nobody".to_owned());
    assert_eq!(said(&settings), Err("auth.signing_key: there is no auth.keys.nobody".to_owned()));
    settings.signing_key = Some("other".to_owned());
    assert_eq!(said(&settings), Ok(()));
    // A pair that is only published is to sign later.
    let next = settings.keys.get_mut("one").unwrap();
    next.public_key = Some(SigningKey::es256().public_pem);
    let refused = said(&settings).unwrap_err();
    assert!(refused.starts_with("auth.keys.one: a token signed with the gateway's own key"), "{refused}");
}

#[tokio::test]
async fn public_keys_are_published_and_secrets_are_not() {
    let pairs = [SigningKey::eddsa(), SigningKey::es384(), SigningKey::rs256()];
    let foreign = SigningKey::es256();
    let builder = TestGateway::builder().settings(|settings| {
        for pair in &pairs {
            let algorithm = Some(Algorithm::try_from(pair.name.to_owned()).unwrap());
            let private_key = Some(Secret::new(pair.private_pem.clone()));
            let public_key = Some(pair.public_pem.clone());
            let key = KeySettings { algorithm, public_key, private_key, ..Default::default() };
            settings.auth.keys.insert(pair.name.to_owned(), key);
        }
        settings.auth.keys.insert("foreign".to_owned(), pem(Algorithm::ES256, &foreign.public_pem));
        settings.auth.signing_key = Some("EdDSA".to_owned());
    });
    let gateway = builder.start().await;
    let request = gateway.client.get(gateway.url("/.well-known/jwks.json"));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    let set: JwkSet = serde_json::from_str(&answer.text).unwrap();
    let kids: Vec<_> = set.keys.iter().map(|key| key.common.key_id.as_deref().unwrap()).collect();
    assert_eq!(kids, ["ES384", "EdDSA", "RS256"], "neither the secret nor another's key");
    for private in ["\"d\"", "\"k\"", "\"p\"", "PRIVATE"] {
        assert!(!answer.text.contains(private), "{private}: {}", answer.text);
    }
    let grant =
        [("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let request = gateway.client.post(gateway.url("/token")).form(&grant);
    let token = Answer::of(request.send().await.unwrap()).await.body["access_token"].clone();
    let token = token.as_str().unwrap();
    let kid = decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["onnx-gateway"]);
    decode::<Value>(token, &key, &validation).expect("a service verifies the token by the set alone");
}

#[tokio::test]
async fn a_gateway_with_a_shared_secret_publishes_nothing() {
    let gateway = TestGateway::start().await;
    let request = gateway.client.get(gateway.url("/.well-known/jwks.json"));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.body, json!({"keys": []}));
}
