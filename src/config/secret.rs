//! A setting that is never shown.

use std::cell::Cell;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Digest;

/// Text that replaces a secret wherever it would be printed.
const REDACTED: &str = "[redacted]";

thread_local! {
    /// True while secrets serialize as digests, for comparison.
    static COMPARABLE: Cell<bool> = const { Cell::new(false) };
}

/// A secret text: wiped from memory when dropped, shown as `[redacted]` wherever settings are printed.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A secret that need not be text: wiped from memory when dropped.
#[derive(Clone, Debug)]
pub struct SecretBytes(SecretSlice<u8>);

impl SecretBytes {
    /// Returns the bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl From<&Secret> for SecretBytes {
    fn from(text: &Secret) -> Self {
        Self(text.expose().as_bytes().to_vec().into())
    }
}

/// Decoder for base64, with or without padding. The two characters in which base64url differs are replaced before.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Secret {
    /// Decodes base64 or base64url, with any line breaks and padding; `None` if the text is neither.
    #[must_use]
    pub fn decode_base64(&self) -> Option<SecretBytes> {
        let standard = |byte: u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let text = self.expose().bytes().filter(|byte| !byte.is_ascii_whitespace()).map(standard);
        let text = SecretSlice::from(text.collect::<Vec<u8>>());
        BASE64.decode(text.expose_secret()).ok().map(|bytes| SecretBytes(bytes.into()))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if COMPARABLE.get() {
            serializer.collect_str(&Digest::of(self.expose().as_bytes()))
        } else {
            serializer.serialize_str(REDACTED)
        }
    }
}

/// Serializes so that different secrets differ. Use the result only for comparison: a weak secret can be guessed from
/// it.
pub(super) fn comparable<T>(serialize: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            COMPARABLE.set(false);
        }
    }
    let _reset = Reset;
    COMPARABLE.set(true);
    serialize()
}

/// Returns true while secrets serialize for comparison.
pub(super) fn is_comparable() -> bool {
    COMPARABLE.get()
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        Secret::new(text.to_owned()).decode_base64().map(|bytes| bytes.expose().to_vec())
    }

    #[test]
    fn base64_is_read_in_each_of_its_forms() {
        for text in ["+/+/AAE=", "-_-_AAE=", "-_-_AAE", "+/+/\nAAE=\n", "  +_-/ AAE"] {
            assert_eq!(decoded(text), Some(vec![0xfb, 0xff, 0xbf, 0, 1]), "{text}");
        }
        for text in ["AAE*", "A", "AAE==", "schlüssel"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("aGVsbG8".to_owned());
        let printed = format!("{secret:?} {:?}", secret.decode_base64());
        assert!(!printed.contains("aGVsbG8") && !printed.contains("104"), "{printed}");
    }
}
