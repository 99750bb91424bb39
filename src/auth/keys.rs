//! Keys from the settings: read, checked, and refused with a reason if they are not valid.

use aws_lc_rs::signature::ParsedPublicKey;
use jsonwebtoken::{
    DecodingKey, DecodingKeyKind, EncodingKey,
    jwk::{Jwk, KeyOperations, PublicKeyUse},
};

use super::{
    algorithm::{KeyKind, key_kind},
    rsa, weak_secret,
};
use crate::config::{Algorithm, KeySettings, SecretBytes};

/// A key that can be used.
pub(super) struct ReadKey {
    pub(super) algorithm: Algorithm,
    pub(super) verifies: DecodingKey,
    /// The private part; `None` if only tokens of others are verified.
    pub(super) signs: Option<EncodingKey>,
}

/// The last segment of a key's setting, and the problem with it.
pub(super) type KeyProblem = (&'static str, String);

/// Reads a key of `auth.keys`.
pub(super) fn read(kid: &str, settings: &KeySettings) -> Result<ReadKey, KeyProblem> {
    let Some(algorithm) = settings.algorithm else {
        return Err(("algorithm", format!("is missing: {}", Algorithm::names())));
    };
    match key_kind(algorithm) {
        KeyKind::Secret { .. } => read_secret(algorithm, settings),
        KeyKind::Rsa | KeyKind::Curve(_) | KeyKind::Ed25519 => read_pair(kid, algorithm, settings),
    }
}

fn read_secret(algorithm: Algorithm, settings: &KeySettings) -> Result<ReadKey, KeyProblem> {
    for (name, given) in [
        ("public_key", settings.public_key.is_some()),
        ("jwk", settings.jwk.is_some()),
        ("private_key", settings.private_key.is_some()),
    ] {
        if given {
            return Err((name, format!("cannot be used with {}, whose key is a `secret`", algorithm.name())));
        }
    }
    let (setting, secret) = match (&settings.secret, &settings.secret_base64) {
        (Some(text), None) => ("secret", SecretBytes::from(text)),
        (None, Some(base64)) => {
            let bytes = base64.decode_base64();
            ("secret_base64", bytes.ok_or_else(|| ("secret_base64", NOT_BASE64.to_owned()))?)
        }
        (Some(_), Some(_)) => {
            return Err(("secret_base64", "and `secret` are both set; remove one".to_owned()));
        }
        (None, None) => {
            let name = algorithm.name();
            let message = format!("is missing: {name} needs one, or `secret_base64` if it is not text");
            return Err(("secret", message));
        }
    };
    match weak_secret::weakness(algorithm, secret.expose()) {
        Some(weakness) => Err((setting, weakness)),
        None => Ok(from_secret(algorithm, &secret)),
    }
}

/// Message for a setting that should be base64.
pub(super) const NOT_BASE64: &str = "is not base64 or base64url";

/// Returns the key of a secret that has passed the strength check.
pub(super) fn from_secret(algorithm: Algorithm, secret: &SecretBytes) -> ReadKey {
    ReadKey {
        algorithm,
        verifies: DecodingKey::from_secret(secret.expose()),
        signs: Some(EncodingKey::from_secret(secret.expose())),
    }
}

fn read_pair(kid: &str, algorithm: Algorithm, settings: &KeySettings) -> Result<ReadKey, KeyProblem> {
    let name = algorithm.name();
    for (setting, given) in
        [("secret", settings.secret.is_some()), ("secret_base64", settings.secret_base64.is_some())]
    {
        if given {
            return Err((
                setting,
                format!("cannot be used with {name}, whose key is a `public_key` or `jwk`"),
            ));
        }
    }
    let (setting, verifies) = match (&settings.public_key, &settings.jwk) {
        (Some(pem), None) => {
            ("public_key", from_pem(algorithm, pem).map_err(|problem| ("public_key", problem))?)
        }
        (None, Some(json)) => ("jwk", from_jwk(kid, algorithm, json).map_err(|problem| ("jwk", problem))?),
        (Some(_), Some(_)) => return Err(("jwk", "and `public_key` are both set; remove one".to_owned())),
        (None, None) => {
            return Err((
                "public_key",
                format!("is missing: {name} needs it (openssl pkey -in KEY -pubout) or `jwk`"),
            ));
        }
    };
    check_strength(algorithm, &verifies).map_err(|problem| (setting, problem))?;
    let signs = match &settings.private_key {
        Some(pem) => Some(private_key(algorithm, pem.expose()).map_err(|problem| ("private_key", problem))?),
        None => None,
    };
    Ok(ReadKey { algorithm, verifies, signs })
}

fn from_pem(algorithm: Algorithm, pem: &str) -> Result<DecodingKey, String> {
    if pem.contains("PRIVATE KEY") {
        return Err("is a private key: it belongs in `private_key`, and its public half here".to_owned());
    }
    let read = match key_kind(algorithm) {
        KeyKind::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
        KeyKind::Curve(_) => DecodingKey::from_ec_pem(pem.as_bytes()),
        KeyKind::Ed25519 => DecodingKey::from_ed_pem(pem.as_bytes()),
        KeyKind::Secret { .. } => return Err(format!("is not for {}", algorithm.name())),
    };
    read.map_err(|error| format!("is not a public key for {} in PEM form: {error}", algorithm.name()))
}

fn private_key(algorithm: Algorithm, pem: &str) -> Result<EncodingKey, String> {
    let read = match key_kind(algorithm) {
        KeyKind::Rsa => EncodingKey::from_rsa_pem(pem.as_bytes()),
        KeyKind::Curve(_) => EncodingKey::from_ec_pem(pem.as_bytes()),
        KeyKind::Ed25519 => EncodingKey::from_ed_pem(pem.as_bytes()),
        KeyKind::Secret { .. } => return Err(format!("is not for {}", algorithm.name())),
    };
    read.map_err(|error| format!("is not a private key for {} in PEM form: {error}", algorithm.name()))
}

/// Reads a public key that a setting has as a JWK (RFC 7517).
fn from_jwk(kid: &str, algorithm: Algorithm, json: &str) -> Result<DecodingKey, String> {
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(|error| format!("is not JSON: {error}"))?;
    if value.get("keys").is_some() {
        return Err("is a set of keys: give each its own section auth.keys.KID".to_owned());
    }
    of_jwk(Some(kid), algorithm, value)
}

/// Reads a public key as RFC 7517 writes it, if it is as strong as it has to be. The id is checked if there is one.
pub(super) fn public_jwk(
    kid: Option<&str>,
    algorithm: Algorithm,
    value: serde_json::Value,
) -> Result<DecodingKey, String> {
    let key = of_jwk(kid, algorithm, value)?;
    check_strength(algorithm, &key)?;
    Ok(key)
}

/// Checks what the library does not: `use`, `key_ops`, `alg`, `kid`, `crv`, and that no member is secret.
fn of_jwk(kid: Option<&str>, algorithm: Algorithm, value: serde_json::Value) -> Result<DecodingKey, String> {
    if ["d", "p", "q", "dp", "dq", "qi"].iter().any(|part| value.get(part).is_some()) {
        return Err("holds a private key; it must hold the public half only".to_owned());
    }
    if value.get("k").is_some() {
        return Err("holds a shared secret; use `secret` with HS256, HS384 or HS512".to_owned());
    }
    let jwk: Jwk = serde_json::from_value(value).map_err(|error| format!("is not a JWK: {error}"))?;
    let name = algorithm.name();
    if let Some(stated) = &jwk.common.key_algorithm
        && stated.to_string() != name
    {
        return Err(format!("is for the algorithm {stated}, not {name}"));
    }
    if let (Some(stated), Some(kid)) = (&jwk.common.key_id, kid)
        && stated != kid
    {
        return Err(format!("has the kid `{stated}`, but is configured as `{kid}`"));
    }
    if jwk.common.public_key_use.as_ref().is_some_and(|key_use| *key_use != PublicKeyUse::Signature) {
        return Err("is not for signatures (`use` is not `sig`)".to_owned());
    }
    if jwk
        .common
        .key_operations
        .as_ref()
        .is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
    {
        return Err("is not for verification (`key_ops` lacks `verify`)".to_owned());
    }
    if !key_kind(algorithm).fits(&jwk.algorithm) {
        return Err(format!("is of another type or curve than {name} needs"));
    }
    DecodingKey::from_jwk(&jwk).map_err(|error| format!("is not a key: {error}"))
}

/// Refuses keys that the library would refuse at each token, or not at all.
fn check_strength(algorithm: Algorithm, key: &DecodingKey) -> Result<(), String> {
    let not_a_key = |what: &str| format!("is not a public key for {what}");
    let kind = key_kind(algorithm);
    match (kind, key.kind()) {
        (KeyKind::Rsa, DecodingKeyKind::SecretOrDer(der)) => {
            let (modulus, exponent) = rsa::numbers(der).ok_or_else(|| not_a_key("RSA"))?;
            rsa::weakness(modulus, exponent).map_or(Ok(()), Err)
        }
        (KeyKind::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            rsa::weakness(n, e).map_or(Ok(()), Err)
        }
        (KeyKind::Ed25519, DecodingKeyKind::SecretOrDer(point)) if is_small_order(point) => {
            Err("is a point of small order, with which anyone could sign".to_owned())
        }
        (KeyKind::Curve(_) | KeyKind::Ed25519, DecodingKeyKind::SecretOrDer(point)) => {
            let (curve, parser) = kind.curve().ok_or_else(|| not_a_key(algorithm.name()))?;
            ParsedPublicKey::new(parser, point).map(drop).map_err(|_| not_a_key(curve))
        }
        _ => Err(not_a_key(algorithm.name())),
    }
}

/// Returns true if an Ed25519 key is a point of small order (1, 2, 4 or 8), for which signatures are easily forged. RFC
/// 8032 section 5.1 gives the curve; RFC 7748 section 6 describes the problem.
fn is_small_order(point: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Ok(mut y): Result<[u8; 32], _> = point.try_into() else { return false };
    // The top bit is the sign of x; the rest is y, little-endian.
    y[31] &= 0x7f;
    let (first, last) = (y[0], y[31]);
    let small = y[1..].iter().all(|byte| *byte == 0) && first <= 1;
    // p - 1, and p and p + 1 as other encodings of 0 and 1.
    let near_p = last == 0x7f && y[1..31].iter().all(|byte| *byte == 0xff) && (0xec..=0xee).contains(&first);
    small || near_p || ORDER_8.contains(&y)
}
