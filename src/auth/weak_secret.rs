//! Detection of shared secrets that can be guessed or looked up.

use super::algorithm::{KeyKind, key_kind};
use crate::config::Algorithm;

/// Fewest distinct bytes of a random secret: 32 random hex digits have 8 or fewer once in many millions.
const MIN_DIFFERENT_BYTES: usize = 8;

/// Secrets from tutorials and sample code that are long enough to pass otherwise, in lower case.
const WELL_KNOWN: &[&str] = &[
    "a-string-secret-at-least-256-bits-long",
    "your-256-bit-secret-your-256-bit-secret",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "this-is-a-secret-key-please-change-it",
    "my-secret-key-that-is-at-least-32-characters-long",
    "super-secret-key-that-should-be-changed",
    "your-super-secret-key-change-this-in-production",
    "your-secret-key-change-this-in-production",
    "your-secret-key-change-in-production",
];

/// Words that mark a secret as a placeholder.
const PLACEHOLDERS: &[&str] =
    &["changeme", "change-me", "change_me", "changethis", "change-this", "change_this"];

/// Returns the reason why a secret must not sign tokens by this algorithm; `None` if there is none.
pub(super) fn weakness(algorithm: Algorithm, secret: &[u8]) -> Option<String> {
    let min_bytes = match key_kind(algorithm) {
        KeyKind::Secret { min_bytes } => min_bytes,
        KeyKind::Rsa | KeyKind::Curve(_) | KeyKind::Ed25519 => 0,
    };
    let text = String::from_utf8_lossy(secret);
    let lower = text.to_ascii_lowercase();
    let mut seen = [false; 256];
    for byte in secret {
        seen[usize::from(*byte)] = true;
    }
    let different = seen.iter().filter(|seen| **seen).count();
    if secret.len() < min_bytes {
        let (bytes, name) = (secret.len(), algorithm.name());
        Some(format!(
            "has {bytes} bytes, an {name} key needs at least {min_bytes}: openssl rand -hex {min_bytes}"
        ))
    } else if WELL_KNOWN.contains(&lower.as_str()) || PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        Some("is well known, anyone could sign with it: openssl rand -hex 32".to_owned())
    } else if text.contains("-----BEGIN") {
        Some("is a PEM file: a key pair goes into auth.keys, and a public key is not secret".to_owned())
    } else if is_repeated(secret) || is_run(secret) {
        Some("is a pattern that can be guessed: openssl rand -hex 32".to_owned())
    } else if different < MIN_DIFFERENT_BYTES {
        Some(format!("has only {different} different bytes and can be guessed: openssl rand -hex 32"))
    } else {
        None
    }
}

/// Returns true if the secret is a shorter text, repeated.
fn is_repeated(secret: &[u8]) -> bool {
    (1..=secret.len() / 2).any(|period| secret.iter().zip(&secret[period..]).all(|(one, next)| one == next))
}

/// Returns true if most bytes equal the byte before or follow it in order: 123456789, abcdefgh.
fn is_run(secret: &[u8]) -> bool {
    let steps = secret.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) <= 1).count();
    steps * 4 > secret.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_weak() {
        for (secret, part) in [
            ("", "has 0 bytes"),
            ("secret", "has 6 bytes"),
            ("x23456789012345678901234567890_", "has 31 bytes"),
            ("A-string-secret-at-least-256-bits-long", "well known"),
            ("please-changeme-before-production-1234", "well known"),
            ("aaabaabbabbbbabaabbbabbaababbaab", "2 different bytes"),
            ("abababababababababababababababababab", "a pattern"),
            ("0123456789abcdef0123456789abcdef", "a pattern"),
            ("secretsecretsecretsecretsecretse", "a pattern"),
            ("12345678901234567890123456789012", "a pattern"),
            ("abcdefghijklmnopqrstuvwxyz0123456789", "a pattern"),
            ("-----BEGIN PUBLIC KEY-----MIGfMA0GCSqGSIb3DQEBAQUAA4GN", "a PEM file"),
        ] {
            assert!(weakness(Algorithm::HS256, secret.as_bytes()).unwrap().contains(part), "{secret}");
        }
    }

    #[test]
    fn a_secret_is_at_least_as_long_as_the_hash() {
        let random = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for (algorithm, min_bytes) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
        {
            assert_eq!(weakness(algorithm, &random.as_bytes()[..min_bytes]), None);
            let said = weakness(algorithm, &random.as_bytes()[..min_bytes - 1]).unwrap();
            assert!(
                said.ends_with(&format!("at least {min_bytes}: openssl rand -hex {min_bytes}")),
                "{said}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_judged_alike() {
        assert!(weakness(Algorithm::HS256, &[0xff; 32]).unwrap().contains("a pattern"));
        assert!(weakness(Algorithm::HS256, &[0xff; 31]).unwrap().contains("has 31 bytes"));
        let random =
            [0x8f, 0x1e, 0xc2, 0x00, 0xa7, 0x3d, 0x99, 0xfe, 0x5b, 0x10, 0xe4, 0x77, 0x0a, 0xd3, 0x6c, 0x81];
        assert_eq!(
            weakness(Algorithm::HS256, &[random, random.map(|byte: u8| byte.rotate_left(3))].concat()),
            None
        );
    }

    #[test]
    fn random_secrets_are_not() {
        for secret in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "0c1f2e9f4a7b6c3d8e5f0a1d2c3b4e9f",
            "correct horse battery staple, and then some",
        ] {
            assert_eq!(weakness(Algorithm::HS256, secret.as_bytes()), None, "{secret}");
        }
    }
}
