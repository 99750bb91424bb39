//! The known keys, and suggestions for unknown ones.
//!
//! The list is derived from the serialized settings, so it cannot diverge from them.

use serde_json::Value;

use super::{
    ApiKeySettings, CertificateSettings, ClientSettings, IssuerSettings, KeySettings, PlanSettings,
    RateLimitSettings, Settings,
};

/// Placeholder for a name that the user chooses.
const ANY: &str = "*";

/// Keys that may also be given as the path of a file, with `_file` appended.
pub(super) const FROM_FILE: &[&str] = &[
    "auth.signing_secret",
    "auth.signing_secret_base64",
    "auth.keys.*.secret",
    "auth.keys.*.secret_base64",
    "auth.keys.*.public_key",
    "auth.keys.*.jwk",
    "auth.keys.*.private_key",
    "auth.clients.*.secret_hash",
    "auth.issuers.*.jwks",
    "rate_limit.store",
];

/// The suffix that turns a key into the path of a file.
pub(super) const FILE_SUFFIX: &str = "_file";

/// The kind of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table of more keys.
    Table,
    /// A setting.
    Setting,
    /// The path of a file that holds the setting of this (last) name.
    FileOf(String),
    /// Unknown; with the nearest known key.
    Unknown { nearest: Option<String> },
}

/// All keys, dotted.
pub(super) struct KnownKeys {
    settings: Vec<String>,
    tables: Vec<String>,
}

impl KnownKeys {
    pub(super) fn new() -> Self {
        let mut keys = Self { settings: Vec::new(), tables: Vec::new() };
        keys.add("", &to_value(&Settings::default()));
        keys.add("auth.keys.*", &to_value(&KeySettings::default()));
        keys.add("auth.clients.*", &to_value(&ClientSettings::default()));
        keys.add("auth.api_keys.*", &to_value(&ApiKeySettings::default()));
        keys.add("auth.issuers.*", &to_value(&IssuerSettings::default()));
        // Values and claims that the issuer chooses.
        keys.add("auth.issuers.*.scopes.*", &Value::Null);
        keys.add("auth.issuers.*.required_claims.*", &Value::Null);
        keys.add("auth.certificates.*", &to_value(&CertificateSettings::default()));
        keys.add("rate_limit.plans.*", &to_value(&PlanSettings::default()));
        keys.add("rate_limit.per_model.*", &to_value(&RateLimitSettings::default().per_caller));
        keys
    }

    fn add(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(entries) => {
                self.tables.push(path.to_owned());
                for (name, value) in entries {
                    self.add(&join(path, name), value);
                }
            }
            _ => self.settings.push(path.to_owned()),
        }
    }

    /// Returns the setting that a variable names with wrong underscores; `None` if there is none.
    pub(super) fn meant_by(&self, variable: &str) -> Option<&str> {
        let lower = variable.to_ascii_lowercase();
        let words = |text: &'_ str| -> Vec<String> {
            text.split(['_', '.']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let named = words(&lower);
        let (_, meant) = named.split_first()?;
        self.settings.iter().find(|key| words(key) == meant).map(String::as_str)
    }

    /// Returns the settings, without the tables that contain them.
    pub(super) fn into_settings(self) -> Vec<String> {
        self.settings
    }

    /// Returns the kind of the key at this path. Names that users choose may contain dots.
    pub(super) fn kind(&self, path: &[&str]) -> Kind {
        let is = |known: &String| matches(known, path);
        if self.settings.iter().any(is) {
            return Kind::Setting;
        }
        if self.tables.iter().any(is) {
            return Kind::Table;
        }
        if let Some((last, section)) = path.split_last()
            && let Some(setting) = last.strip_suffix(FILE_SUFFIX)
        {
            let path: Vec<&str> = section.iter().copied().chain([setting]).collect();
            if FROM_FILE.iter().any(|known| matches(known, &path)) {
                return Kind::FileOf(setting.to_owned());
            }
        }
        Kind::Unknown { nearest: self.nearest(&path.join(".")) }
    }

    /// Returns the key with the fewest edits; `None` if none is close enough to have been meant.
    fn nearest(&self, path: &str) -> Option<String> {
        let files = FROM_FILE.iter().map(|setting| format!("{setting}{FILE_SUFFIX}"));
        let candidates = self.settings.iter().chain(&self.tables).cloned().chain(files);
        candidates
            .filter(|candidate| !candidate.is_empty())
            .map(|candidate| name_as_in(&candidate, path))
            .map(|candidate| (distance(&candidate, path), candidate))
            .min()
            .filter(|(distance, candidate)| is_near(*distance, candidate))
            .map(|(_, candidate)| candidate)
    }
}

/// Returns the name with the fewest edits; `None` if none is close enough to have been meant.
pub(super) fn nearest_name<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(candidate, name), candidate))
        .min()
        .filter(|(distance, candidate)| is_near(*distance, candidate))
        .map(|(_, candidate)| candidate)
}

fn is_near(distance: usize, candidate: &str) -> bool {
    distance <= (candidate.len() / 3).max(2)
}

/// Returns the edit distance of two keys. In one section, a key that starts with the other counts as nearest.
fn distance(candidate: &str, path: &str) -> usize {
    let same_depth = candidate.matches('.').count() == path.matches('.').count();
    if same_depth && (candidate.starts_with(path) || path.starts_with(candidate)) {
        1
    } else {
        strsim::damerau_levenshtein(candidate, path)
    }
}

#[expect(clippy::expect_used, reason = "only default settings are written")]
fn to_value<T: serde::Serialize>(settings: &T) -> Value {
    serde_json::to_value(settings).expect("settings are JSON")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns true if `path` is the key `known`, in which `*` stands for one name.
fn matches(known: &str, path: &[&str]) -> bool {
    let mut names = path.iter();
    let fits = known
        .split('.')
        .all(|expected| names.next().is_some_and(|name| expected == ANY || expected == *name));
    fits && names.next().is_none()
}

/// Returns the candidate, with the names in `path` in place of its placeholders.
fn name_as_in(candidate: &str, path: &str) -> String {
    let names: Vec<&str> = path.split('.').collect();
    let segment = |(index, segment): (usize, &str)| match (segment, names.get(index)) {
        (ANY, Some(name)) => (*name).to_owned(),
        (ANY, None) => "NAME".to_owned(),
        _ => segment.to_owned(),
    };
    candidate.split('.').enumerate().map(segment).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> Kind {
        KnownKeys::new().kind(&path.split('.').collect::<Vec<_>>())
    }

    fn nearest(path: &str) -> Option<String> {
        match kind(path) {
            Kind::Unknown { nearest } => nearest,
            known => panic!("{path} is {known:?}"),
        }
    }

    #[test]
    fn knows_every_kind_of_key() {
        assert_eq!(kind("server.listen"), Kind::Setting);
        assert_eq!(kind("models.default"), Kind::Setting, "settings without a value are known too");
        assert_eq!(kind("rate_limit.per_address"), Kind::Table);
        assert_eq!(kind("auth.clients"), Kind::Table);
        assert_eq!(kind("auth.clients.demo"), Kind::Table);
        assert_eq!(kind("auth.keys.k1.algorithm"), Kind::Setting);
        let dotted = KnownKeys::new().kind(&["auth", "clients", "shop.example", "scopes"]);
        assert_eq!(dotted, Kind::Setting, "names may hold dots");
        assert_eq!(kind("auth.signing_secret_file"), Kind::FileOf("signing_secret".to_owned()));
        assert_eq!(kind("auth.keys.k1.jwk_file"), Kind::FileOf("jwk".to_owned()));
    }

    #[test]
    fn suggests_the_key_that_was_meant() {
        assert_eq!(nearest("server.lisen").as_deref(), Some("server.listen"));
        assert_eq!(nearest("rate_limits.enabled").as_deref(), Some("rate_limit.enabled"));
        assert_eq!(nearest("auth.clients.demo.secret").as_deref(), Some("auth.clients.demo.secret_hash"));
        assert_eq!(nearest("auth.signing_secrets").as_deref(), Some("auth.signing_secret"));
        assert_eq!(nearest("completely.different.thing"), None);
        assert!(nearest("server.listen_file").is_some(), "only secrets come from files");
    }
}
