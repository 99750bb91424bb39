//! The identity of a model file: the sha256 of its bytes.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};

/// Hex digits of the short form in the response header `x-model-digest`.
const SHORT_DIGITS: usize = 12;

/// The sha256 of a model file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

/// A SHA-256 that is computed part by part.
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher {
    /// Appends bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// Returns the digest of all bytes.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::of_output(&self.0.finish())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Digest {
    /// Computes the digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_output(&digest(&SHA256, bytes))
    }

    fn of_output(output: &aws_lc_rs::digest::Digest) -> Self {
        let mut digest = [0; SHA256_OUTPUT_LEN];
        digest.copy_from_slice(output.as_ref());
        Self(digest)
    }

    /// Returns the first 12 hex digits: enough to tell two deployments apart.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(SHORT_DIGITS);
        text
    }
}

/// A string that is not a SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sha256 has 64 of the characters 0-9 a-f")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        let pairs = text.as_bytes().chunks(2);
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DigestError);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let pair = std::str::from_utf8(pair).map_err(|_| DigestError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({})", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_sha256_in_hex() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.short(), "ba7816bf8f01");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let mut hasher = Hasher::default();
        for part in ["a", "", "bc"] {
            hasher.update(part);
        }
        assert_eq!(hasher.finish(), digest);
        for bad in ["", "ba7816bf8f01", &"x".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<Digest>(), Err(DigestError), "{bad}");
        }
    }
}
