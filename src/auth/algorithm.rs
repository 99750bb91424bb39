//! The mapping from algorithms in the settings to the library's.

use jsonwebtoken::Algorithm as JwtAlgorithm;

use crate::config::Algorithm;

/// Returns the library's equivalent of an algorithm.
pub(super) fn of_library(algorithm: Algorithm) -> JwtAlgorithm {
    match algorithm {
        Algorithm::HS256 => JwtAlgorithm::HS256,
        Algorithm::RS256 => JwtAlgorithm::RS256,
        Algorithm::ES256 => JwtAlgorithm::ES256,
        Algorithm::EdDSA => JwtAlgorithm::EdDSA,
    }
}

/// Returns the name in a token's header, compared letter for letter (RFC 7515 section 4.1.1).
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
    }
}
