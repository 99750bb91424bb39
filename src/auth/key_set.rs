//! The public halves of the keys that the gateway signs with, as a JWK set (RFC 7517 section 5).

use jsonwebtoken::{
    DecodingKey,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};

use super::algorithm::{self, KeyKind, key_kind};
use crate::config::Algorithm;

/// Returns the set of these keys. Shared secrets have no public half and are left out.
pub(super) fn key_set<'k>(keys: impl Iterator<Item = (&'k str, Algorithm, &'k DecodingKey)>) -> JwkSet {
    let published = keys.filter_map(|(kid, algorithm, key)| {
        if matches!(key_kind(algorithm), KeyKind::Secret { .. }) {
            return None;
        }
        let library = algorithm::of_library(algorithm);
        let mut jwk = Jwk::from_decoding_key(key, Some(library)).ok()?;
        jwk.common.key_id = Some(kid.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_algorithm = Some(KeyAlgorithm::from(library));
        Some(jwk)
    });
    JwkSet { keys: published.collect() }
}
