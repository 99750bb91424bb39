//! The place where quotas are kept.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::secret::{Secret, is_comparable};
use crate::model::Digest;

/// The memory of the process, or a Redis server by its URL. The URL may hold a password, which is never shown.
#[derive(Clone, Default)]
pub struct QuotaStore(Option<Secret>);

/// The text for the memory of the process.
const MEMORY: &str = "memory";

/// The schemes of a Redis server, without and with TLS.
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];

/// Text in place of a user and a password.
const REDACTED: &str = "[redacted]@";

impl QuotaStore {
    /// Reads the text of the setting.
    ///
    /// # Errors
    ///
    /// The forms that are allowed. The text is not repeated, as it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == MEMORY {
            return Ok(Self(None));
        }
        let wrong = || {
            "expected memory, redis://HOST:PORT or rediss://HOST:PORT (with TLS), each with /DATABASE if needed".to_owned()
        };
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or_else(wrong)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let place = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        let is_host = !host.is_empty() && !text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ');
        if !is_host || !port.is_none_or(is_port) || text.contains('#') {
            return Err(wrong());
        }
        let path = rest.split_once('/').map(|(_, path)| path.split('?').next().unwrap_or_default());
        if path.is_some_and(|database| !database.is_empty() && database.parse::<u16>().is_err()) {
            return Err("names a database that is not a number".to_owned());
        }
        Ok(Self(Some(Secret::new(text.to_owned()))))
    }

    /// Returns the URL of the Redis server; `None` for the memory of the process.
    #[must_use]
    pub fn url(&self) -> Option<&Secret> {
        self.0.as_ref()
    }

    /// Returns the setting without user and password.
    #[must_use]
    pub fn shown(&self) -> String {
        let Some(url) = &self.0 else { return MEMORY.to_owned() };
        let url = url.expose();
        let Some((scheme, rest)) = url.split_once("://") else { return REDACTED.to_owned() };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        // A password may hold any character: the last `@` of all ends it.
        match rest.rsplit_once('@').map(|(_, place)| place) {
            Some(place) => format!("{scheme}://{REDACTED}{}", place.split('?').next().unwrap_or_default()),
            None => {
                format!("{scheme}://{}{}", &rest[..end], rest[end..].split('?').next().unwrap_or_default())
            }
        }
    }
}

impl PartialEq for QuotaStore {
    fn eq(&self, other: &Self) -> bool {
        let text = |store: &Self| store.0.as_ref().map(|url| url.expose().to_owned());
        text(self) == text(other)
    }
}

impl fmt::Debug for QuotaStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown())
    }
}

impl Serialize for QuotaStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(url) if is_comparable() => serializer.collect_str(&Digest::of(url.expose().as_bytes())),
            _ => serializer.serialize_str(&self.shown()),
        }
    }
}

impl<'de> Deserialize<'de> for QuotaStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

impl JsonSchema for QuotaStore {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "QuotaStore".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_the_memory_or_a_redis_server() {
        for good in [
            "memory",
            "redis://localhost",
            "redis://localhost:6379",
            "redis://localhost:6379/3",
            "redis://[::1]:6379/0",
            "redis://[::1]",
            "rediss://user:p%40ss@redis.example:6380/1",
            "redis://:p@ss@redis.example",
            "redis://localhost/?protocol=resp3",
        ] {
            assert!(QuotaStore::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Memory",
            "redis",
            "redis://",
            "http://localhost",
            "redis://:6379",
            "redis://localhost:0",
            "redis://localhost:many",
            "redis://localhost/name",
            "redis://local host",
            "rediss://a#insecure",
        ] {
            let said = QuotaStore::parse(bad).unwrap_err();
            assert!(!said.contains("many") && !said.contains("http:"), "{said}");
        }
    }

    #[test]
    fn user_and_password_are_never_shown() {
        let shown = |text: &str| format!("{:?}", QuotaStore::parse(text).unwrap());
        assert_eq!(shown("memory"), "memory");
        assert_eq!(shown("redis://redis.example:6379/2"), "redis://redis.example:6379/2");
        assert_eq!(
            shown("rediss://me:pass@redis.example/2?protocol=resp3"),
            "rediss://[redacted]@redis.example/2"
        );
        assert_eq!(shown("redis://:a@c@redis.example:1"), "redis://[redacted]@redis.example:1");
        let store = QuotaStore::parse("redis://:one@redis.example").unwrap();
        let other = QuotaStore::parse("redis://:two@redis.example").unwrap();
        assert_eq!(serde_json::to_string(&store).unwrap(), "\"redis://[redacted]@redis.example\"");
        let compared =
            |store: &QuotaStore| super::super::secret::comparable(|| serde_json::to_string(store).unwrap());
        assert_ne!(compared(&store), compared(&other), "a change is noticed");
        assert!(!compared(&store).contains("one"));
    }
}
