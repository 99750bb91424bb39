//! A trial of each key pair at the start.

use std::time::SystemTime;

use super::{Scopes, TokenError, TokenIssuer, issuers::Refusal, keys::ReadKey, verifier::Verifier};
use crate::config::{AuthSettings, SettingsProblem};

/// A signer with the id of its key; `None` for the shared secret.
pub(super) type Pair = (Option<String>, TokenIssuer);

/// Returns a signer for each key that can sign.
pub(super) fn pairs(keys: &[(Option<String>, ReadKey)], settings: &AuthSettings) -> Vec<Pair> {
    let pair = |(kid, key): &(Option<String>, ReadKey)| {
        let encoding = key.signs.clone()?;
        Some((kid.clone(), TokenIssuer::new(kid.as_deref(), key.algorithm, encoding, settings)))
    };
    keys.iter().filter_map(pair).collect()
}

/// Signs a token with each pair and verifies it, so that a private key that does not match the public one fails the
/// start. That holds for pairs that are only published, too: they are to sign later.
pub(super) fn try_pairs(pairs: &[Pair], verifier: &Verifier, problems: &mut Vec<SettingsProblem>) {
    let now = SystemTime::now();
    for (kid, pair) in pairs {
        let signed = pair.issue("self-test", Scopes::default(), now, None).map_err(|error| error.to_string());
        let verified = signed.and_then(|signed| match verifier.try_verify(&signed.token, now) {
            Ok(_) => Ok(()),
            Err(Refusal::Token(error)) => Err(error.to_string()),
            Err(Refusal::UnknownKey(_)) => Err(TokenError::UnknownKey.to_string()),
        });
        if let Err(error) = verified {
            let key = kid.as_ref().map_or_else(|| "auth".to_owned(), |kid| format!("auth.keys.{kid}"));
            let message = format!("a token signed with the gateway's own key is not valid: {error}");
            problems.push(SettingsProblem::at(key, message));
        }
    }
}
