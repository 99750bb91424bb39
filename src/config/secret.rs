//! A setting that is never shown.

use std::cell::Cell;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Digest;

/// What stands where a secret would be printed.
const REDACTED: &str = "[redacted]";

thread_local! {
    /// Whether a digest stands there instead.
    static COMPARABLE: Cell<bool> = const { Cell::new(false) };
}

/// A secret text: wiped from memory when dropped, shown as `[redacted]` wherever settings are printed.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps a text secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
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

/// Serializes so that different secrets differ. The result is for comparing only: a weak secret can be guessed from it.
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

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
