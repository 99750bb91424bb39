//! Tokens, good and bad, made by hand: header and claims are JSON texts, so that they can be anything.

use std::time::SystemTime;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use serde_json::{Value, json};

/// The shared secret of gateways under test.
pub const SECRET: &str = "b5d3a4c8f1e2479a8c6b0d9e7f1a2b3c4d5e6f708192a3b4";

/// A token in the making; as it begins it is good and permits everything.
#[derive(Clone, Debug)]
pub struct TokenBuilder {
    pub header: Value,
    pub claims: Value,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

impl TokenBuilder {
    pub fn new() -> Self {
        Self {
            header: json!({"alg": "HS256", "typ": "JWT"}),
            claims: json!({
                "iss": "onnx-gateway", "aud": "onnx-gateway", "sub": "tester",
                "iat": now(), "exp": now() + 600, "scope": "predict read manage",
            }),
        }
    }

    /// Sets a claim; null removes it.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        set(&mut self.claims, name, value);
        self
    }

    /// Sets a header parameter; null removes it.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        set(&mut self.header, name, value);
        self
    }

    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", json!(scope))
    }

    /// Signed with the shared secret.
    pub fn build(&self) -> String {
        self.build_with(&SigningKey::shared_secret())
    }

    pub fn build_with(&self, key: &SigningKey) -> String {
        key.sign_json(&self.header.to_string(), &self.claims.to_string())
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    let entries = object.as_object_mut().unwrap();
    if value.is_null() {
        entries.remove(name);
    } else {
        entries.insert(name.to_owned(), value);
    }
}

/// A key to sign with, and the public half to configure.
pub struct SigningKey {
    pub algorithm: Algorithm,
    pub name: &'static str,
    encoding: EncodingKey,
    pub public_pem: String,
    pub private_pem: String,
    /// The shared secret; empty for a pair.
    pub secret: String,
}

impl SigningKey {
    pub fn shared_secret() -> Self {
        Self::secret(SECRET)
    }

    pub fn secret(secret: &str) -> Self {
        Self::bytes(secret.as_bytes())
    }

    pub fn bytes(secret: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            name: "HS256",
            encoding: EncodingKey::from_secret(secret),
            public_pem: String::new(),
            private_pem: String::new(),
            secret: String::new(),
        }
    }

    /// A shared secret of another hash.
    pub fn long_secret(algorithm: Algorithm, name: &'static str, secret: &str) -> Self {
        Self { algorithm, name, secret: secret.to_owned(), ..Self::secret(secret) }
    }

    pub fn es256() -> Self {
        Self::ecdsa(Algorithm::ES256, "ES256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub fn es384() -> Self {
        Self::ecdsa(Algorithm::ES384, "ES384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ecdsa(algorithm: Algorithm, name: &'static str, curve: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::pair(algorithm, name, private.as_ref(), public.as_ref())
    }

    pub fn eddsa() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::pair(Algorithm::EdDSA, "EdDSA", private.as_ref(), public.as_ref())
    }

    pub fn rs256() -> Self {
        Self::rsa(Algorithm::RS256, "RS256")
    }

    /// A key for one of the algorithms of RSA.
    pub fn rsa(algorithm: Algorithm, name: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private =
            aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::pair(algorithm, name, private.as_ref(), public.as_ref())
    }

    /// The same key, used by another algorithm.
    pub fn by(&self, algorithm: Algorithm, name: &'static str) -> Self {
        Self {
            algorithm,
            name,
            encoding: self.encoding.clone(),
            public_pem: self.public_pem.clone(),
            private_pem: self.private_pem.clone(),
            secret: self.secret.clone(),
        }
    }

    fn pair(algorithm: Algorithm, name: &'static str, private: &[u8], public: &[u8]) -> Self {
        let private_pem = pem("PRIVATE KEY", private);
        let bytes = private_pem.as_bytes();
        let encoding = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(bytes),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(bytes),
            _ => EncodingKey::from_rsa_pem(bytes),
        };
        Self {
            algorithm,
            name,
            encoding: encoding.unwrap(),
            public_pem: pem("PUBLIC KEY", public),
            private_pem,
            secret: String::new(),
        }
    }

    /// A token of these texts, whatever they are.
    pub fn sign_json(&self, header: &str, claims: &str) -> String {
        self.sign_bytes(header.as_bytes(), claims.as_bytes())
    }

    pub fn sign_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = sign(message.as_bytes(), &self.encoding, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
