//! The public halves of the keys that the gateway signs with, as a JWK set (RFC 7517 section 5).

use jsonwebtoken::{
    DecodingKey,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};

use super::algorithm::{self, KeyKind, key_kind};
use crate::config::Algorithm;

/// Returns the set of these keys. Shared secrets have no public half and are left out.
///
/// # Errors
///
/// The id of a key that cannot be written as a JWK.
pub(super) fn key_set<'k>(
    keys: impl Iterator<Item = (&'k str, Algorithm, &'k DecodingKey)>,
) -> Result<JwkSet, &'k str> {
    let pairs = keys.filter(|(_, algorithm, _)| !matches!(key_kind(*algorithm), KeyKind::Secret { .. }));
    let published = pairs.map(|(kid, algorithm, key)| {
        let library = algorithm::library_algorithm(algorithm);
        let mut jwk = Jwk::from_decoding_key(key, Some(library)).map_err(|_| kid)?;
        jwk.common.key_id = Some(kid.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_algorithm = Some(KeyAlgorithm::from(library));
        Ok::<_, &'k str>(jwk)
    });
    Ok(JwkSet { keys: published.collect::<Result<_, _>>()? })
}
