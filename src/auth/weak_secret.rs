//! Shared secrets that anyone could guess or look up.

/// RFC 7518 section 3.2: the key of HS256 has at least the 256 bits of its hash.
const MIN_BYTES: usize = 32;

/// Fewer different bytes than this is no random secret: 32 random hex digits have 8 or fewer once in many millions.
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

/// Words that stand in secrets nobody chose.
const PLACEHOLDERS: &[&str] =
    &["changeme", "change-me", "change_me", "changethis", "change-this", "change_this"];

/// Why a secret must not sign tokens, if so.
pub(super) fn weakness(secret: &str) -> Option<String> {
    let lower = secret.to_ascii_lowercase();
    let mut seen = [false; 256];
    secret.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    if secret.len() < MIN_BYTES {
        Some(format!(
            "has {} bytes, an HS256 key needs at least {MIN_BYTES}: openssl rand -hex 32",
            secret.len()
        ))
    } else if WELL_KNOWN.contains(&lower.as_str()) || PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        Some("is well known, anyone could sign with it: openssl rand -hex 32".to_owned())
    } else if different < MIN_DIFFERENT_BYTES {
        Some(format!("has only {different} different bytes and can be guessed: openssl rand -hex 32"))
    } else {
        None
    }
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
            ("abababababababababababababababababab", "2 different bytes"),
        ] {
            assert!(weakness(secret).unwrap().contains(part), "{secret}");
        }
    }

    #[test]
    fn random_secrets_are_not() {
        for secret in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f",
            "correct horse battery staple, and then some",
        ] {
            assert_eq!(weakness(secret), None, "{secret}");
        }
    }
}
