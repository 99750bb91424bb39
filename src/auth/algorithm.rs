//! The library's equivalents of the algorithms in the settings, and the keys that they need.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, VerificationAlgorithm,
};
use jsonwebtoken::{
    Algorithm as JwtAlgorithm,
    jwk::{AlgorithmParameters, EllipticCurve},
};

use crate::config::Algorithm;

/// The kind of key that an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// A shared secret, at least as long as the hash (RFC 7518 section 3.2).
    Secret { min_bytes: usize },
    /// An RSA key, for PKCS #1 v1.5 or PSS.
    Rsa,
    /// A key on this curve of NIST.
    Curve(NistCurve),
    /// A key on Ed25519 (RFC 8037).
    Ed25519,
}

/// A curve of ECDSA (RFC 7518 section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NistCurve {
    P256,
    P384,
}

/// Returns the library's equivalent of an algorithm.
pub(super) fn library_algorithm(algorithm: Algorithm) -> JwtAlgorithm {
    match algorithm {
        Algorithm::HS256 => JwtAlgorithm::HS256,
        Algorithm::HS384 => JwtAlgorithm::HS384,
        Algorithm::HS512 => JwtAlgorithm::HS512,
        Algorithm::RS256 => JwtAlgorithm::RS256,
        Algorithm::RS384 => JwtAlgorithm::RS384,
        Algorithm::RS512 => JwtAlgorithm::RS512,
        Algorithm::PS256 => JwtAlgorithm::PS256,
        Algorithm::PS384 => JwtAlgorithm::PS384,
        Algorithm::PS512 => JwtAlgorithm::PS512,
        Algorithm::ES256 => JwtAlgorithm::ES256,
        Algorithm::ES384 => JwtAlgorithm::ES384,
        Algorithm::EdDSA => JwtAlgorithm::EdDSA,
    }
}

/// Returns the kind of key that an algorithm needs.
pub(super) fn key_kind(algorithm: Algorithm) -> KeyKind {
    match algorithm {
        Algorithm::HS256 => KeyKind::Secret { min_bytes: 32 },
        Algorithm::HS384 => KeyKind::Secret { min_bytes: 48 },
        Algorithm::HS512 => KeyKind::Secret { min_bytes: 64 },
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => KeyKind::Rsa,
        Algorithm::ES256 => KeyKind::Curve(NistCurve::P256),
        Algorithm::ES384 => KeyKind::Curve(NistCurve::P384),
        Algorithm::EdDSA => KeyKind::Ed25519,
    }
}

impl KeyKind {
    /// Returns true if a JWK is of this kind.
    pub(super) fn fits(self, jwk: &AlgorithmParameters) -> bool {
        match (self, jwk) {
            (Self::Rsa, AlgorithmParameters::RSA(_)) => true,
            (Self::Curve(curve), AlgorithmParameters::EllipticCurve(given)) => given.curve == curve.of_jwk(),
            (Self::Ed25519, AlgorithmParameters::OctetKeyPair(pair)) => pair.curve == EllipticCurve::Ed25519,
            _ => false,
        }
    }

    /// Returns the curve's name and what parses its points; `None` for other kinds.
    pub(super) fn curve(self) -> Option<(&'static str, &'static dyn VerificationAlgorithm)> {
        match self {
            Self::Curve(NistCurve::P256) => Some(("P-256", &ECDSA_P256_SHA256_FIXED)),
            Self::Curve(NistCurve::P384) => Some(("P-384", &ECDSA_P384_SHA384_FIXED)),
            Self::Ed25519 => Some(("Ed25519", &ED25519)),
            Self::Secret { .. } | Self::Rsa => None,
        }
    }
}

impl NistCurve {
    fn of_jwk(self) -> EllipticCurve {
        match self {
            Self::P256 => EllipticCurve::P256,
            Self::P384 => EllipticCurve::P384,
        }
    }
}
