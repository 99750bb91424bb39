//! Differences between two readings of the settings, key by key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Settings, known_keys::KnownKeys, secret};

/// A setting whose value has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The setting, dotted.
    pub key: String,
    /// The old value, secrets redacted.
    pub from: String,
    /// The new value, secrets redacted.
    pub to: String,
}

/// Returns every setting that differs, sorted by key.
#[must_use]
pub fn changes(old: &Settings, new: &Settings) -> Vec<Change> {
    let compared = |settings| secret::comparable(|| flat(settings));
    let (before, after) = (compared(old), compared(new));
    // Secrets are redacted here, so that no change can reveal one.
    let (shown_before, shown_after) = (flat(old), flat(new));
    let shown = |values: &BTreeMap<String, Value>, key: &str| match values.get(key) {
        None | Some(Value::Null) => "unset".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| Change { key: key.clone(), from: shown(&shown_before, key), to: shown(&shown_after, key) })
        .collect()
}

/// Returns every setting, dotted, with `*` in place of a name that users choose.
#[must_use]
pub fn known_settings() -> Vec<String> {
    KnownKeys::new().into_settings()
}

#[expect(clippy::expect_used, reason = "settings come from texts, so all of them can be written as JSON")]
fn flat(settings: &Settings) -> BTreeMap<String, Value> {
    fn add(path: &str, value: Value, values: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(entries) => {
                for (name, value) in entries {
                    let key = if path.is_empty() { name } else { format!("{path}.{name}") };
                    add(&key, value, values);
                }
            }
            value => {
                values.insert(path.to_owned(), value);
            }
        }
    }
    let mut values = BTreeMap::new();
    add("", serde_json::to_value(settings).expect("settings are JSON"), &mut values);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientSettings, Secret};

    fn changed(change: impl FnOnce(&mut Settings)) -> Vec<Change> {
        let old = settings();
        let mut new = old.clone();
        change(&mut new);
        changes(&old, &new)
    }

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.auth.signing_secret = Some(Secret::new("the first".to_owned()));
        let hash = Some(Secret::new("a hash".to_owned()));
        let client = ClientSettings { secret_hash: hash, scopes: vec!["read".to_owned()], plan: None };
        settings.auth.clients.insert("shop".to_owned(), client);
        settings
    }

    #[test]
    fn names_what_differs_and_nothing_else() {
        assert_eq!(changed(|_| {}), []);
        let said = changed(|settings| {
            settings.server.max_body_bytes = 7;
            settings.models.default = Some("wine".parse().unwrap());
        });
        let said: Vec<_> = said.iter().map(|change| (&*change.key, &*change.from, &*change.to)).collect();
        let expected = [("models.default", "unset", "wine"), ("server.max_body_bytes", "2097152", "7")];
        assert_eq!(said, expected);
    }

    #[test]
    fn notices_another_secret_and_does_not_tell_it() {
        let other = |secret: &str| Some(Secret::new(secret.to_owned()));
        let said = changed(|settings| {
            settings.auth.signing_secret = other("the second");
            settings.auth.clients.get_mut("shop").unwrap().secret_hash = other("another hash");
        });
        let keys: Vec<_> = said.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["auth.clients.shop.secret_hash", "auth.signing_secret"]);
        assert!(said.iter().all(|change| change.from == "[redacted]" && change.to == "[redacted]"));
    }

    #[test]
    fn notices_a_client_that_is_gone() {
        let said = changed(|settings| settings.auth.clients.clear());
        let keys: Vec<_> = said.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(
            keys,
            ["auth.clients.shop.plan", "auth.clients.shop.scopes", "auth.clients.shop.secret_hash"]
        );
    }
}
