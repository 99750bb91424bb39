//! Generation of secrets.

use crate::config::Secret;

/// Generates a secret of 256 random bits, written as hexadecimal digits.
#[must_use]
pub fn generate_secret() -> Secret {
    let half = || rand::random::<u128>();
    Secret::new(format!("{:032x}{:032x}", half(), half()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::weak_secret, config::Algorithm};

    #[test]
    fn a_generated_secret_is_strong_and_used_once() {
        let (one, other) = (generate_secret(), generate_secret());
        assert_ne!(one.expose(), other.expose());
        for secret in [one, other] {
            assert_eq!(secret.expose().len(), 64);
            assert_eq!(weak_secret::weakness(Algorithm::HS512, secret.expose().as_bytes()), None);
        }
    }
}
